import { parse } from "smol-toml";
import type { ConfigTarget } from "./config-target.ts";
import { judgeForeignSection, runtimesOf, withoutHandler } from "./effective-config.ts";
import { addBlock, splitBlock } from "./marked-block.ts";
import { CONFIG_VERSIONS, renderRuntimeSection, runtimePlugin, runtimeTable } from "./runtime-section.ts";
import type { ConfigVersion, RuntimeSettings } from "./runtime-section.ts";
import { at, isSame, isTable, prune } from "./toml-path.ts";

export interface ConfigFacts {
  /** Path and text of containerd's configuration; undefined = there is no such file. */
  readonly path: string;
  readonly text: string | undefined;
  readonly target: ConfigTarget;
  /** What is at the target; for kind `main` the same as `text`. */
  readonly targetText: string | undefined;
  /** What containerd makes of all its files (`containerd config dump`), parsed. */
  readonly effective: unknown;
  /** Of containerd. */
  readonly majorVersion: number;
}

export type ConfigPlan =
  /** The section is there: ours, or one of somebody else that will do; then `foreignConfigPath` is its runsc.toml. */
  | { readonly kind: "unchanged"; readonly foreignConfigPath?: string }
  /** `text` undefined = no file. */
  | { readonly kind: "write"; readonly path: string; readonly text: string | undefined }
  | { readonly kind: "refuse"; readonly reason: string };

/** Makes gVisor a runtime of this containerd, or says why not. Applying it and planning again gives `unchanged`. */
export function planConfig(facts: ConfigFacts, settings: RuntimeSettings): ConfigPlan {
  return guarded(facts, () => {
    const config = parse(splitBlock(facts.text ?? "").rest);
    const version = versionOf(config, facts);
    refuseDisabled(config, version);
    const hasOwn = splitBlock(facts.targetText ?? "").block !== undefined;
    const foreign =
      runtimesOf(config)[settings.handler] ?? (hasOwn ? undefined : runtimesOf(facts.effective)[settings.handler]);
    if (foreign !== undefined) {
      return { kind: "unchanged", foreignConfigPath: judgeForeignSection(foreign, settings.handler) };
    }
    const text = wantedText(facts, version, settings);
    if (text === facts.targetText) return { kind: "unchanged" };
    if (facts.target.kind === "main") proveOnlyAdded(config, parse(text), { version, settings });
    return { kind: "write", path: facts.target.path, text };
  });
}

/** Takes our section away; everything else stays as it is. */
export function planRemoval(facts: Pick<ConfigFacts, "path" | "target" | "targetText">): ConfigPlan {
  return guarded(facts, () => {
    const { rest, block } = splitBlock(facts.targetText ?? "");
    if (block === undefined) return { kind: "unchanged" };
    const isOursAlone = rest === "" || rest === TEMPLATE_BASE || /^version = \d+\n$/.test(rest);
    const keepsFile = facts.target.kind === "main" && rest !== "";
    return { kind: "write", path: facts.target.path, text: isOursAlone && !keepsFile ? undefined : rest };
  });
}

/** A template of k3s or RKE2 that adds to their own. */
const TEMPLATE_BASE = '{{ template "base" . }}\n';

function wantedText(facts: ConfigFacts, version: ConfigVersion, settings: RuntimeSettings): string {
  const section = renderRuntimeSection(version, settings);
  const { rest, block } = splitBlock(facts.targetText ?? "");
  switch (facts.target.kind) {
    case "main": {
      const isBare = Object.keys(parse(rest)).length === 0;
      return addBlock(rest, isBare ? `version = ${version}\n${section}` : section);
    }
    case "template": {
      if (rest.includes(`runtimes.${settings.handler}]`) || rest.includes(`runtimes."${settings.handler}"]`))
        throw new RangeError(
          `${facts.target.path} has a runtime "${settings.handler}" of its own: remove that section`,
        );
      return addBlock(facts.targetText === undefined ? TEMPLATE_BASE : rest, section);
    }
    case "drop-in": {
      if (facts.targetText !== undefined && (block === undefined || !/^version = \d+\n$/.test(rest)))
        throw new RangeError(`${facts.target.path} was changed by somebody else: remove it, and it is made anew`);
      return addBlock(`version = ${version}\n`, section);
    }
  }
}

function versionOf(config: Readonly<Record<string, unknown>>, facts: ConfigFacts): ConfigVersion {
  const { version } = config;
  if (Object.keys(config).length === 0) return facts.majorVersion >= 2 ? 3 : 2;
  const known = CONFIG_VERSIONS.find((candidate) => candidate === version);
  if (known !== undefined) return known;
  const found =
    version === undefined ? "it names no version, which means 1" : `its version is ${JSON.stringify(version)}`;
  throw new RangeError(
    `${found}, and only ${CONFIG_VERSIONS.join(", ")} are known: bring it up to date with \`containerd config migrate\``,
  );
}

function refuseDisabled(config: Readonly<Record<string, unknown>>, version: ConfigVersion): void {
  const disabled = config["disabled_plugins"];
  const names = new Set(["cri", "io.containerd.grpc.v1.cri", runtimePlugin(version)]);
  const off = Array.isArray(disabled) ? disabled.map(String).find((name) => names.has(name)) : undefined;
  if (off === undefined) return;
  throw new RangeError(`disabled_plugins names "${off}", so this containerd does not serve Kubernetes`);
}

/** Appended text can change what earlier text means; here it must not. */
function proveOnlyAdded(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  { version, settings }: { readonly version: ConfigVersion; readonly settings: RuntimeSettings },
): void {
  const added = at(after, ["plugins", runtimePlugin(version), "containerd", "runtimes", settings.handler]);
  const rest = prune(withoutHandler(after, settings.handler));
  const wanted = prune({ ...before, version });
  if (!isTable(rest) || !isSame(added, runtimeTable(settings)) || !isSame(rest, wanted))
    throw new RangeError("a section appended to it would do more than add a runtime");
}

function guarded(facts: Pick<ConfigFacts, "path">, plan: () => ConfigPlan): ConfigPlan {
  try {
    return plan();
  } catch (error) {
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    return { kind: "refuse", reason: `${facts.path} stays as it is: ${why.replace(/\.$/, "")}.` };
  }
}
