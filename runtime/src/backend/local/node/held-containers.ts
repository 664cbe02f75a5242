import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import type { Clock } from "#core/clock.ts";
import type { HeldContainer } from "../held.ts";
import { encodeHoldOrder, readHoldReport, type HoldOrder, type HoldOutcome } from "../hold.ts";
import { userSpec } from "../oci.ts";
import { containerIdOf, rootIdOf } from "./boot-control.ts";
import type { BootFiles, BootNote } from "./boot-files.ts";
import type { Runsc, RunscCall } from "./runsc.ts";

const { O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY } = constants;
const POLL_MS = 1;
const REPORT_BYTES = 64;

export interface HeldContainersDeps {
  readonly files: BootFiles;
  readonly runsc: Runsc;
  readonly clock: Clock;
  /** The waiting program on this machine. */
  readonly holdFile: string;
}

export type HeldContainers = ReturnType<typeof createHeldContainers>;

/** Containers that wait for their program, and the two pipes by which each is told and answers. */
export function createHeldContainers({ files, runsc, clock, holdFile }: HeldContainersDeps) {
  /** Makes the container; the boot's root container need not have started yet. */
  async function create(note: BootNote, index: number, held: HeldContainer, where: RunscCall): Promise<void> {
    const id = containerIdOf(note.id, index);
    const paths = files.pathsOf(note.id, note.link.netnsPath);
    const spec = userSpec(paths, { ...held, rootId: rootIdOf(note.id), index, holdFile });
    const [bundle] = await Promise.all([files.writeBundle(note.id, id, spec), files.makePipes(note.id, index)]);
    await runsc.create(id, bundle, files.pidFileOf(note.id, id), where);
  }

  /** Starts the waiting program; its ends of the pipes are the only ones, so an end is seen. */
  async function start(bootId: string, index: number, where: RunscCall): Promise<void> {
    const pipes = files.pipesOf(bootId, index);
    // For reading and writing, since a pipe opened one way waits for its other end.
    const order = openSync(pipes.order, O_RDWR);
    const report = openSync(pipes.report, O_RDWR);
    try {
      await runsc.start(containerIdOf(bootId, index), { ...where, stdin: order, stdout: report });
    } finally {
      closeSync(order);
      closeSync(report);
    }
  }

  /** Tells the container what to become, once, and waits for how that went. */
  async function release(bootId: string, index: number, order: HoldOrder, signal: AbortSignal): Promise<HoldOutcome> {
    const pipes = files.pipesOf(bootId, index);
    const report = openSync(pipes.report, O_RDONLY | O_NONBLOCK);
    try {
      if (!(await give(pipes.order, encodeHoldOrder(order), signal))) return { kind: "gone" };
      return readHoldReport(await hear(report, signal));
    } finally {
      closeSync(report);
    }
  }

  /** False when nobody reads the order any more. */
  async function give(path: string, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const fd = orNothing(() => openSync(path, O_WRONLY | O_NONBLOCK), "ENXIO");
    if (fd === undefined) return false;
    try {
      for (let at = 0; at < bytes.length;) {
        const count = orNothing(() => writeSync(fd, bytes, at), "EAGAIN");
        at += count ?? 0;
        if (count === undefined) await clock.sleep(POLL_MS, signal);
      }
      return true;
    } catch (error) {
      if (codeOf(error) === "EPIPE") return false;
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /** All of the report up to its end. */
  async function hear(fd: number, signal: AbortSignal): Promise<Uint8Array> {
    const report = new Uint8Array(REPORT_BYTES);
    for (let length = 0; ;) {
      const count = orNothing(() => readSync(fd, report, length, REPORT_BYTES - length, null), "EAGAIN");
      if (count === 0) return report.subarray(0, length);
      length += count ?? 0;
      if (count === undefined) await clock.sleep(POLL_MS, signal);
    }
  }

  return { create, start, release };
}

function orNothing<T>(call: () => T, expected: string): T | undefined {
  try {
    return call();
  } catch (error) {
    if (codeOf(error) === expected) return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
