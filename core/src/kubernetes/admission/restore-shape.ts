import { restorePath, restoreProbePath, stopHookPath, AGENT_CONTAINER, GVISOR_ANNOTATION } from "../names.ts";
import { celString, orAbsent } from "./cel-text.ts";
import type { RestoreConfig } from "./fence-config.ts";

const LOOPBACK = "127.0.0.1";
const UID = celString("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$");
/** Stand for values that the expressions know, in texts that other programs make of them. */
const HOLES = { namespace: "<namespace>", sandboxUid: "<uid>", container: "<container>" } as const;
const VALUES = new Map<string, string>([
  [HOLES.namespace, "request.namespace"],
  [HOLES.sandboxUid, "owner.uid"],
  [HOLES.container, "one.name"],
]);

/** Whether kubelet's request at this chain is the one that holds a sandbox until its archives are there. */
export function isRestoreProbe(request: string, { port }: RestoreConfig): string {
  return `variables.operator && it.name == ${celString(AGENT_CONTAINER)} && ${isRequest(request, port, restoreProbePath(HOLES))}`;
}

/** Whether it is the one that holds the end of a container until its snapshot is taken. */
export function isStopHook(request: string, { port }: RestoreConfig): string {
  return `variables.operator && it.name != ${celString(AGENT_CONTAINER)} && ${isRequest(request, port, stopHookPath(HOLES))}`;
}

/** Whether the annotation `key` names the archive of one container of this very sandbox. */
export function isOwnArchive({ folder }: RestoreConfig): string {
  const key = celText(`${GVISOR_ANNOTATION.rootfsTar}${HOLES.container}`);
  const value = celText(restorePath(folder, HOLES, HOLES.container));
  return ofOwner(`object.spec.containers.exists(one, key == ${key} && variables.annotations[key] == ${value})`);
}

function isRequest(request: string, port: number, path: string): string {
  return [
    `${orAbsent(`${request}.?host`, '""')} == ${celString(LOOPBACK)}`,
    `${orAbsent(`${request}.?port`, "0")} == ${port}`,
    `${orAbsent(`${request}.?scheme`, '"HTTP"')} == "HTTP"`,
    `${orAbsent(`${request}.?httpHeaders`, "[]")}.size() == 0`,
    ofOwner(`${orAbsent(`${request}.?path`, '""')} == ${celText(path)}`),
  ].join(" && ");
}

function ofOwner(holds: string): string {
  return `object.metadata.?ownerReferences.orValue([]).exists(owner, owner.kind == "Sandbox" && owner.uid.matches(${UID}) && ${holds})`;
}

/** The expression for a text with holes. */
function celText(text: string): string {
  return text
    .split(/(<[a-z]+>)/)
    .filter((part) => part !== "")
    .map((part) => VALUES.get(part) ?? celString(part))
    .join(" + ");
}
