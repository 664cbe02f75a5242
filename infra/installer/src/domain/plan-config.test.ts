import fc from "fast-check";
import { parse } from "smol-toml";
import { describe, expect, test } from "vitest";
import { CONFIGS, K3S, K3S_PATH, RKE2, RKE2_PATH } from "../../../test/containerd-configs.ts";
import { configTargets } from "./config-target.ts";
import { runtimesOf } from "./effective-config.ts";
import { splitBlock } from "./marked-block.ts";
import { planConfig, planRemoval, type ConfigFacts, type ConfigPlan } from "./plan-config.ts";

const SETTINGS = {
  handler: "runsc",
  shimPath: "/opt/atoll/gvisor/current/containerd-shim-runsc-v1",
  runscConfigPath: "/opt/atoll/gvisor/current/runsc.toml",
};

function parsed(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

/** Facts of a node with these files. */
function facts(path: string, files: Readonly<Record<string, string>>, majorVersion = 2): ConfigFacts {
  const text = files[path];
  const [target] = configTargets(path, text ?? "", { config: parsed(text ?? ""), mergesImports: majorVersion >= 2 });
  return { path, text, target, targetText: files[target.path], effective: parsed(text ?? ""), majorVersion };
}

function written(plan: ConfigPlan): string {
  if (plan.kind !== "write" || plan.text === undefined) throw new Error(`Expected a text: ${JSON.stringify(plan)}`);
  return plan.text;
}

describe("planConfig of containerd's own file", () => {
  test.each(CONFIGS)(
    "%s: adds the runtime, keeps every byte, has then nothing to do, and is undone",
    (_, path, text) => {
      const before = facts(path, { [path]: text });
      const after = written(planConfig(before, SETTINGS));
      expect(after.startsWith(text)).toBe(true);
      const runtimes = runtimesOf(parse(after));
      expect(runtimes).toEqual({
        ...runtimesOf(parse(text)),
        runsc: {
          runtime_type: "io.containerd.runsc.v1",
          runtime_path: SETTINGS.shimPath,
          pod_annotations: ["dev.gvisor.*"],
          container_annotations: ["dev.gvisor.*"],
          options: { TypeUrl: "io.containerd.runsc.v1.options", ConfigPath: SETTINGS.runscConfigPath },
        },
      });
      const again = facts(path, { [path]: after });
      expect(planConfig(again, SETTINGS)).toEqual({ kind: "unchanged" });
      const removal = planRemoval(again);
      expect(removal).toEqual({ kind: "write", path, text: text === "" ? undefined : text });
    },
  );

  test("that does not exist is made, and removed again", () => {
    const plan = planConfig(facts("/etc/containerd/config.toml", {}), SETTINGS);
    expect(parse(written(plan))).toMatchObject({ version: 3 });
    const old = written(planConfig(facts("/etc/containerd/config.toml", {}, 1), SETTINGS));
    expect(parse(old)).toMatchObject({ version: 2, plugins: { "io.containerd.grpc.v1.cri": expect.anything() } });
    const removal = planRemoval(facts("/etc/containerd/config.toml", { "/etc/containerd/config.toml": old }));
    expect(removal).toMatchObject({ kind: "write", text: undefined });
  });

  test("follows new settings, in the place of the old ones", () => {
    const path = "/etc/containerd/config.toml";
    const first = written(planConfig(facts(path, { [path]: "version = 3\n" }), SETTINGS));
    const moved = { ...SETTINGS, shimPath: "/srv/shim" };
    const second = written(planConfig(facts(path, { [path]: `${first}# appended by another\n` }), moved));
    expect(splitBlock(second).rest).toBe("version = 3\n# appended by another\n");
    expect(runtimesOf(parse(second))["runsc"]).toMatchObject({ runtime_path: "/srv/shim" });
  });

  test.each([
    ["garbage", "this is = no [ TOML", /Invalid|invalid/],
    ["version 1 by absence", "[plugins.cri]\n  x = 1\n", /it names no version, which means 1.*config migrate/],
    ["version 1", "version = 1\n", /its version is 1/],
    ["a version of the future", "version = 9\n", /its version is 9/],
    ["Docker's own, without Kubernetes", 'version = 2\ndisabled_plugins = ["cri"]\n', /disabled_plugins names "cri"/],
    ["an inline table", "version = 3\nplugins = {}\n", /config.toml stays as it is/],
    ["marks that do not pair", "version = 3\n# <<< atoll\n", /do not make one pair/],
    [
      "a runtime of this name that is another",
      'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]\n  runtime_type = "io.containerd.runc.v2"\n',
      /written by somebody else and lacks runtime_type = "io.containerd.runsc.v1", pod_annotations/,
    ],
  ])("refuses %s and says why", (_, text, why) => {
    const path = "/etc/containerd/config.toml";
    const plan = planConfig(facts(path, { [path]: text }), SETTINGS);
    expect(plan).toEqual({ kind: "refuse", reason: expect.stringMatching(why) });
  });

  test("leaves a section by hand that will do", () => {
    const path = "/etc/containerd/config.toml";
    const text = `version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc]
  runtime_type = "io.containerd.runsc.v1"
  pod_annotations = ["dev.gvisor.*"]
  container_annotations = ["io.own.*", "dev.gvisor.*"]
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runsc.options]
    ConfigPath = "/etc/containerd/runsc.toml"
`;
    expect(planConfig(facts(path, { [path]: text }), SETTINGS)).toEqual({
      kind: "unchanged",
      foreignConfigPath: "/etc/containerd/runsc.toml",
    });
  });

  test("sees a section in a file that it imports one by one", () => {
    const path = "/etc/containerd/config.toml";
    const known = facts(path, { [path]: 'version = 3\nimports = ["/etc/containerd/gvisor.toml"]\n' });
    const effective = { plugins: { "io.containerd.cri.v1.runtime": { containerd: { runtimes: { runsc: {} } } } } };
    expect(planConfig({ ...known, effective }, SETTINGS)).toMatchObject({ kind: "refuse" });
  });
});

describe("planConfig of a folder of parts", () => {
  const path = "/etc/containerd/config.toml";
  const text = 'version = 2\nimports = ["/etc/containerd/one.toml", "conf.d/*.toml"]\n';
  const part = "/etc/containerd/conf.d/90-atoll-gvisor.toml";

  test("writes one file of the same version and leaves the rest", () => {
    const plan = planConfig(facts(path, { [path]: text }), SETTINGS);
    expect(plan).toMatchObject({ kind: "write", path: part });
    const after = facts(path, { [path]: text, [part]: written(plan) });
    expect(parse(written(plan))).toMatchObject({ version: 2, plugins: { "io.containerd.grpc.v1.cri": {} } });
    expect(planConfig(after, SETTINGS)).toEqual({ kind: "unchanged" });
    expect(planRemoval(after)).toEqual({ kind: "write", path: part, text: undefined });
  });

  test("is for containerd from 2.0 on: an older one lets a part replace the whole section", () => {
    expect(planConfig(facts(path, { [path]: text }, 1), SETTINGS)).toMatchObject({ path });
  });

  test("refuses a file of our name that is somebody else's", () => {
    const plan = planConfig(facts(path, { [path]: text, [part]: "version = 2\n" }), SETTINGS);
    expect(plan).toMatchObject({ kind: "refuse", reason: expect.stringContaining(part) });
  });
});

describe("planConfig of k3s and RKE2", () => {
  test.each([
    ["k3s", K3S_PATH, K3S, "config-v3.toml.tmpl"],
    ["RKE2", RKE2_PATH, RKE2, "config.toml.tmpl"],
  ])("%s: makes the template that the configuration's first line names", (_, path, text, name) => {
    const template = path.replace("config.toml", name);
    const plan = planConfig(facts(path, { [path]: text }), SETTINGS);
    expect(plan).toMatchObject({ kind: "write", path: template });
    expect(written(plan).startsWith('{{ template "base" . }}\n')).toBe(true);
    // What it makes of it at its next start.
    const made = written(plan).replace('{{ template "base" . }}\n', text);
    const after = facts(path, { [path]: made, [template]: written(plan) });
    expect(planConfig(after, SETTINGS)).toEqual({ kind: "unchanged" });
    expect(planRemoval(after)).toEqual({ kind: "write", path: template, text: undefined });
  });

  test("adds to a template that is there, and takes only that away", () => {
    const template = K3S_PATH.replace("config.toml", "config-v3.toml.tmpl");
    const own = '{{ template "base" . }}\n\n[plugins."x".y]\n  {{ if .Nodeconfig }}z = 1{{ end }}';
    const plan = planConfig(facts(K3S_PATH, { [K3S_PATH]: K3S, [template]: own }), SETTINGS);
    expect(written(plan).startsWith(own)).toBe(true);
    const removal = planRemoval(facts(K3S_PATH, { [K3S_PATH]: K3S, [template]: written(plan) }));
    expect(removal).toMatchObject({ text: own });
  });

  test("uses the folder of parts that newer ones import", () => {
    const imports = 'imports = ["/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.d/*.toml"]';
    const text = K3S.replace("version = 3\n", `version = 3\n${imports}\n`);
    expect(planConfig(facts(K3S_PATH, { [K3S_PATH]: text }), SETTINGS)).toMatchObject({
      path: K3S_PATH.replace("config.toml", "config-v3.toml.d/90-atoll-gvisor.toml"),
    });
  });
});

test("planConfig either refuses or adds exactly the runtime, whatever the text", () => {
  const line = fc.constantFrom(
    "version = 2",
    "version = 3",
    "# a comment",
    "",
    "[plugins]",
    'plugins."io.containerd.cri.v1.runtime".containerd.runtimes = {}',
    'imports = ["x/*.toml"]',
    "[grpc]",
    "  uid = 0",
    'a = """',
    '[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]',
    '[plugins."io.containerd.grpc.v1.cri".containerd]',
    "# >>> atoll: gVisor runtime, kept by the node's installer; changes here are overwritten",
    "# <<< atoll",
  );
  const path = "/etc/containerd/config.toml";
  let added = 0;
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), fc.constantFrom("", "\n"), (lines, end) => {
      const text = lines.join("\n") + end;
      const known = facts(path, { [path]: text }, 1);
      const plan = planConfig(known, SETTINGS);
      if (plan.kind === "refuse") return;
      added += 1;
      const after = written(plan);
      const { rest } = splitBlock(text);
      expect(splitBlock(after).rest).toBe(rest);
      const { runsc, ...others } = runtimesOf(parse(after));
      expect(runsc).toBeDefined();
      expect(others).toEqual(runtimesOf(parse(rest)));
      expect(planConfig(facts(path, { [path]: after }, 1), SETTINGS)).toEqual({ kind: "unchanged" });
    }),
    { numRuns: 800 },
  );
  // Else it would only have shown that garbage is refused.
  expect(added).toBeGreaterThan(20);
});
