import { CONFIG_VERSIONS, PASSED_ANNOTATIONS, RUNTIME_TYPE, runtimePlugin } from "./runtime-section.ts";
import type { RuntimeSettings } from "./runtime-section.ts";
import { at, differenceOf, isTable, prune } from "./toml-path.ts";

const PLUGINS = [...new Set(CONFIG_VERSIONS.map(runtimePlugin))];

/** All runtimes that a parsed configuration names, whatever its version. */
export function runtimesOf(config: unknown): Readonly<Record<string, unknown>> {
  const tables = PLUGINS.map((plugin) => at(config, ["plugins", plugin, "containerd", "runtimes"]));
  return Object.assign({}, ...tables.filter(isTable));
}

/** A parsed configuration without one runtime. */
export function withoutHandler(config: unknown, handler: string): unknown {
  const copy: unknown = structuredClone(config);
  for (const plugin of PLUGINS) {
    const runtimes = at(copy, ["plugins", plugin, "containerd", "runtimes"]);
    if (isTable(runtimes)) Reflect.deleteProperty(runtimes, handler);
  }
  return copy;
}

/**
 * Compares what containerd made of its files before and after a change that was to add one
 * runtime. Undefined = exactly that happened; else what is wrong.
 */
export function faultOfChange(before: unknown, after: unknown, settings: RuntimeSettings): string | undefined {
  const { handler, shimPath, runscConfigPath } = settings;
  const added = runtimesOf(after)[handler];
  if (added === undefined)
    return `containerd would not see the runtime "${handler}": another file replaces its section`;
  if (at(added, ["runtime_path"]) !== shimPath || at(added, ["options", "ConfigPath"]) !== runscConfigPath)
    return `another file overrides the runtime "${handler}"`;
  const [was, is] = [before, after].map((config) => prune(withoutHandler(config, handler)));
  const difference = differenceOf(was, is);
  return difference === undefined ? undefined : `the runtime added to it would change ${difference} as well`;
}

/** The runsc.toml of a section that somebody else wrote; throws when sandboxes could not work with it. */
export function judgeForeignSection(section: unknown, handler: string): string {
  const passes = (key: string): boolean => {
    const list = at(section, [key]);
    return Array.isArray(list) && list.includes(PASSED_ANNOTATIONS);
  };
  const configPath = at(section, ["options", "ConfigPath"]);
  const lacks = [
    at(section, ["runtime_type"]) === RUNTIME_TYPE ? [] : [`runtime_type = "${RUNTIME_TYPE}"`],
    ["pod_annotations", "container_annotations"]
      .filter((key) => !passes(key))
      .map((key) => `${key} = ["${PASSED_ANNOTATIONS}"]`),
    typeof configPath === "string" && configPath !== "" ? [] : ["options.ConfigPath"],
  ].flat();
  if (lacks.length === 0 && typeof configPath === "string") return configPath;
  throw new RangeError(
    `its runtime "${handler}" was written by somebody else and lacks ${lacks.join(", ")}: add that, or remove the section`,
  );
}
