import { EXIT, Fault } from "../fault.ts";
import type { Suite } from "./suite.ts";

/** The suites that the options ask for, in their own order. An unknown name is wrong usage. */
export function selectSuites(
  suites: readonly Suite[],
  { quick, only }: { quick: boolean; only: readonly string[] },
): readonly Suite[] {
  const unknown = only.find((name) => !suites.some((suite) => suite.name === name));
  if (unknown !== undefined) {
    const names = suites.map((suite) => suite.name).join(", ");
    throw new Fault(`there is no suite "${unknown}"; the suites are ${names}`, { exitCode: EXIT.usage });
  }
  return suites.filter((suite) => (!quick || suite.quick) && (only.length === 0 || only.includes(suite.name)));
}
