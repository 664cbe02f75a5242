import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { SandboxReason } from "#core/sandbox.ts";
import type { Boot, ContainerEnd } from "../machine.ts";
import { checkpointNameOf } from "../oci.ts";
import { callControl, ControlLostError } from "./control-socket.ts";
import type { BootFiles, BootNote } from "./boot-files.ts";
import type { Cgroup } from "./cgroup.ts";

const EVICT_POLL_MS = 10;
const EVICT_POLLS = 500;

/** Name of a boot's root container. runsc takes a prefix of a name for the name, so none may be the start of another. */
export function rootIdOf(bootId: string): string {
  return `${bootId}-r`;
}

/** Name that runsc knows a user container by: its place in the sandbox, in three digits for the same reason. */
export function containerIdOf(bootId: string, index: number): string {
  return `${bootId}-${checkpointNameOf(index)}`;
}

export interface BootControl {
  wait(boot: Boot, container: string, signal: AbortSignal): Promise<ContainerEnd>;
  /** Resolves when the boot's kernel, or its root container, is gone; rejects when the signal aborts. */
  ended(bootId: string, signal: AbortSignal): Promise<void>;
  postMortem(bootId: string): Promise<{ reason: SandboxReason; message: string }>;
  /** Whether the boot's kernel process is there. */
  alive(note: BootNote): Promise<boolean>;
  /** Ends the boot's kernel for the sake of the others, and waits for its end; `why` is what its user is told. */
  evict(note: BootNote, why: { reason: SandboxReason; message: string }): Promise<void>;
  /** Nothing of the boot is left. */
  forget(bootId: string): void;
}

/** What can be learnt of a boot from outside: its control socket, its process, its cgroup. */
export function createBootControl(runscRoot: string, files: BootFiles, cgroup: Cgroup): BootControl {
  const evicted = new Map<string, { reason: SandboxReason; message: string }>();

  async function postMortem(bootId: string): Promise<{ reason: SandboxReason; message: string }> {
    const why = evicted.get(bootId);
    if (why !== undefined) return why;
    if ((await cgroup.oomKills(bootId)) > 0) {
      return { reason: "OutOfMemory", message: "The sandbox used more memory than its limit and was stopped." };
    }
    if ((await cgroup.pidsRefused(bootId)) > 0) {
      return { reason: "PidsExhausted", message: "The sandbox made more tasks than it may and was stopped." };
    }
    const panic = firstLine(await files.readPanic(bootId));
    const message =
      panic === "" ? "The sandbox's kernel ended unexpectedly." : `The sandbox's kernel stopped: ${panic}`;
    return { reason: "SandboxLost", message };
  }

  function callWait(bootId: string, containerId: string, signal: AbortSignal): Promise<unknown> {
    const socketPath = join(runscRoot, `runsc-${rootIdOf(bootId)}.sock`);
    return callControl(socketPath, "containerManager.Wait", containerId, signal);
  }

  async function ended(bootId: string, signal: AbortSignal): Promise<void> {
    try {
      await callWait(bootId, rootIdOf(bootId), signal);
    } catch (error) {
      if (!(error instanceof ControlLostError)) throw error;
    }
  }

  async function wait(boot: Boot, container: string, signal: AbortSignal): Promise<ContainerEnd> {
    try {
      const id = containerIdOf(boot.id, boot.containers.indexOf(container));
      const status = await callWait(boot.id, id, signal);
      return { kind: "exited", exitCode: exitCodeOf(Number(status)) };
    } catch (error) {
      if (!(error instanceof ControlLostError)) throw error;
      return { kind: "lost", ...(await postMortem(boot.id)) };
    }
  }

  async function alive(note: BootNote): Promise<boolean> {
    if (note.pid === undefined) return false;
    // The pid may belong to another process by now: the kernel process carries the boot's id as its last argument.
    const cmdline = await readFile(`/proc/${note.pid}/cmdline`, "utf8").catch(() => "");
    return cmdline.split("\0").includes(rootIdOf(note.id));
  }

  async function evict(note: BootNote, why: { reason: SandboxReason; message: string }): Promise<void> {
    if (note.pid === undefined || !(await alive(note))) return;
    evicted.set(note.id, why);
    process.kill(note.pid, "SIGKILL");
    for (let left = EVICT_POLLS; left > 0 && (await alive(note)); left -= 1) await sleep(EVICT_POLL_MS);
  }

  return { wait, ended, postMortem, alive, evict, forget: (bootId) => void evicted.delete(bootId) };
}

/** Exit code in a wait status; 128 + signal number when a signal ended the process. */
function exitCodeOf(waitStatus: number): number {
  const signal = waitStatus & 0x7f;
  return signal === 0 ? (waitStatus >> 8) & 0xff : 128 + signal;
}

function firstLine(text: string): string {
  return (text.split("\n").find((line) => line.trim() !== "") ?? "").slice(0, 200);
}
