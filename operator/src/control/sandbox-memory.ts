import type { SandboxResource } from "#api/crd/sandbox.ts";
import { backoffMs } from "#core/backoff.ts";
import { KubeError } from "#core/kubernetes/kube-error.ts";
import type { Pod } from "#core/kubernetes/pod.ts";
import { quoted } from "../domain/sandbox/fault.ts";
import { foreignPod, type CreationFault } from "../domain/sandbox/observed.ts";

/** What a process knows of a sandbox beyond the caches; the world goes on without it. */
export interface SandboxNotes {
  readonly uid: string | undefined;
  podSeen: boolean;
  /** A pod may have come and gone of which only the API server's present word of the sandbox tells. */
  mayHaveHadPod: boolean;
  creationFault: CreationFault | undefined;
  /** Why the record of the last snapshot could not be made. */
  recordFault: string | undefined;
  /** Attempts in a row that the API server refused. */
  refusals: number;
}

export interface SandboxMemory {
  /** Notes of this very object: another of its name begins anew. */
  of(key: string, sandbox: SandboxResource): SandboxNotes;
  forget(key: string): void;
}

const RETRY = { firstMs: 500, mostMs: 15_000 };
/** Refusals of the request itself: it will be refused again. */
const FINAL = new Set([400, 413, 422]);
/** Refusals that may pass: quota, rights, a hook that is away, a namespace that comes back. */
const PASSING = new Set([403, 404, 409, 500]);
/** No right to, no such kind, a namespace that goes: a sandbox is not held for what may never be. */
const NO_RECORD = new Set([403, 404]);

/** The API server's clock and this machine's differ by less. */
const CLOCK_SKEW_MS = 60_000;

/** Memory of a process that makes pods since this moment (Unix milliseconds), and makes them alone. */
export function createSandboxMemory(sinceMs: number): SandboxMemory {
  const notes = new Map<string, SandboxNotes>();
  return {
    of(key, { metadata }) {
      const known = notes.get(key);
      if (known?.uid === metadata.uid && known !== undefined) return known;
      const isOlder = !(Date.parse(metadata.creationTimestamp ?? "") > sinceMs + CLOCK_SKEW_MS);
      const fresh: SandboxNotes = {
        uid: metadata.uid,
        podSeen: false,
        mayHaveHadPod: isOlder,
        creationFault: undefined,
        recordFault: undefined,
        refusals: 0,
      };
      notes.set(key, fresh);
      return fresh;
    },
    forget: (key) => void notes.delete(key),
  };
}

/** Notes why a pod could not be created; false when nobody knows whether it was. */
export function noteRefusal(notes: SandboxNotes, error: unknown, at: At): boolean {
  if (!(error instanceof KubeError)) return false;
  const isFinal = FINAL.has(error.status) || isFenced(error);
  if (!isFinal && !PASSING.has(error.status)) return false;
  const message = `The pod could not be created: ${quoted(error.message, `the API server answered ${error.status}`)}.`;
  note(notes, { message, isFinal }, at);
  return true;
}

/** Notes why the record of the last snapshot could not be created; false when nobody knows whether it was. */
export function noteRecordRefusal(notes: SandboxNotes, error: unknown): boolean {
  if (!(error instanceof KubeError) || !(FINAL.has(error.status) || NO_RECORD.has(error.status))) return false;
  notes.recordFault = `its record could not be created: ${quoted(error.message, `the API server answered ${error.status}`)}`;
  return true;
}

/** Notes that a pod of another owner has the name; it may go. */
export function noteForeignPod(notes: SandboxNotes, pod: Pod, at: At): void {
  note(notes, { message: foreignPod(pod), isFinal: false }, at);
}

interface At {
  readonly nowMs: number;
  readonly random: () => number;
}

function note(notes: SandboxNotes, fault: Omit<CreationFault, "retryAtMs">, { nowMs, random }: At): void {
  notes.creationFault = { ...fault, retryAtMs: nowMs + backoffMs(notes.refusals, RETRY, random) };
  notes.refusals += 1;
}

/** The fence refuses with the word of lacking rights, but for good. */
function isFenced({ status, message }: KubeError): boolean {
  return status === 403 && message.includes("ValidatingAdmissionPolicy");
}
