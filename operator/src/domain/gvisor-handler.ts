import { RUNTIME_HANDLER } from "#core/kubernetes/names.ts";

/** Handlers of runtime classes that are gVisor. Source: the cluster contract. */
const HANDLERS = new Set([RUNTIME_HANDLER, "gvisor"]);

export function isGvisor(handler: string | undefined): boolean {
  return handler !== undefined && HANDLERS.has(handler);
}
