import type { Sandbox, SandboxSpec } from "#core/sandbox.ts";
import { toResponse } from "./convert.ts";

/**
 * Writes sandboxes as clients see them and remembers each one's last text: clients ask far more
 * often than anything changes. A spec never changes, so a text is right as long as the rest is equal.
 */
export function createSandboxWriter(): (sandbox: Sandbox) => string {
  const written = new WeakMap<SandboxSpec, { readonly of: Sandbox; readonly text: string }>();
  return (sandbox) => {
    const last = written.get(sandbox.spec);
    if (last !== undefined && isSame(last.of, sandbox)) return last.text;
    const text = JSON.stringify(toResponse(sandbox));
    written.set(sandbox.spec, { of: sandbox, text });
    return text;
  };
}

/** Whether all that `toResponse` reads beside the spec is equal. */
function isSame(a: Sandbox, b: Sandbox): boolean {
  return (
    a === b ||
    (a.id === b.id &&
      a.phase === b.phase &&
      a.reason === b.reason &&
      a.message === b.message &&
      a.createdAtMs === b.createdAtMs)
  );
}
