import { cruise, type ICruiseOptions, type ICruiseResult } from "dependency-cruiser";
import config from "../.dependency-cruiser.mjs";

/** The folders that the rules cover. */
export const FOLDERS = [
  "api",
  "core",
  "runtime",
  "sidecar",
  "sdk",
  "cli",
  "operator",
  "mounter",
  "infra",
  "testbed",
  "images",
  "bench",
  "test",
] as const;

export interface Violation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
}

export const RULES: readonly string[] = (config.forbidden ?? []).map((rule) => rule.name ?? "");

/** Applies the dependency rules to the given folders of a tree. */
export async function findViolations(
  root: string,
  folders: readonly string[],
): Promise<{ modules: number; violations: readonly Violation[] }> {
  const options: ICruiseOptions = {
    ...config.options,
    baseDir: root,
    ruleSet: { forbidden: config.forbidden ?? [] },
    validate: true,
    outputType: "json",
  };
  const { output } = await cruise([...folders], options, config.options?.enhancedResolveOptions);
  const { summary }: ICruiseResult = typeof output === "string" ? JSON.parse(output) : output;
  const violations = summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
  return { modules: summary.totalCruised, violations };
}
