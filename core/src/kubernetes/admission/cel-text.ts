import type { AdmissionValidation } from "../cluster-objects.ts";

/** A string of the expression language. */
export function celString(text: string): string {
  return JSON.stringify(text);
}

export function celList(texts: readonly string[]): string {
  return `[${texts.map(celString).join(", ")}]`;
}

/**
 * What an optional chain such as `it.?a.?b` leads to, or `absent`. A null that somebody wrote is as
 * good as nothing: Kubernetes takes it so, and templates keep it.
 */
export function orAbsent(chain: string, absent: string): string {
  const value = `${chain}.orValue(${absent})`;
  return `(dyn(${value}) == null ? ${absent} : ${value})`;
}

/** Whether an optional chain leads to anything but null. */
export function isGiven(chain: string): string {
  return `(${chain}.hasValue() && dyn(${chain}.value()) != null)`;
}

/** Refuses when `fault` holds. */
export function refuse(fault: string, message: string): AdmissionValidation {
  return { expression: `!(${fault})`, message };
}

/** Refuses when `fault` holds for some item `it` of a list; the message begins with the names of those items. */
export function refuseEach(list: string, fault: string, message: string): AdmissionValidation {
  return {
    expression: `!${list}.exists(it, ${fault})`,
    messageExpression: `${list}.filter(it, ${fault}).map(it, it.name).join(", ") + ${celString(`: ${message}`)}`,
  };
}
