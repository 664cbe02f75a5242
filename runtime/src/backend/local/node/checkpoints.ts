import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "#core/clock.ts";
import { withDeadline } from "#core/deadline.ts";
import type { Log } from "#core/log.ts";
import { CheckpointError, type Checkpoint, type CheckpointCall } from "../checkpoint.ts";
import type { Boot } from "../machine.ts";
import { checkpointNameOf } from "../oci.ts";
import { orAborted } from "#runtime/or-aborted.ts";
import { containerIdOf, type BootControl } from "./boot-control.ts";
import type { BootFiles, BootNote } from "./boot-files.ts";
import { usedBytes } from "./disk-watch.ts";
import { RunscError, type Runsc } from "./runsc.ts";
import type { Staging, StagingPlace } from "./staging.ts";

export interface CheckpointsDeps {
  readonly runsc: Pick<Runsc, "checkpoint">;
  readonly files: BootFiles;
  readonly control: Pick<BootControl, "alive">;
  readonly staging: Staging;
  readonly clock: Clock;
  readonly log: Log;
}

export type Checkpoints = ReturnType<typeof createCheckpoints>;

/** A save that takes longer counts as hung: its client is ended. */
const HUNG_MS = 600_000;
/** Folders, names and the lists of pages, beside the pages themselves. */
const METADATA_BYTES = 64 * 2 ** 20;

/** Takes checkpoints of running containers, one at a time a sandbox. */
export function createCheckpoints(deps: CheckpointsDeps) {
  /** Saves under way by boot: they go on in the sandbox's kernel whoever waits for them. */
  const saves = new Map<string, Promise<unknown>>();

  /**
   * Saves what a container has changed. When the caller leaves or the time is over this rejects
   * at once, and what is saved in vain is removed when the kernel has done with it.
   */
  async function take(boot: Boot, container: string, call: CheckpointCall): Promise<Checkpoint> {
    call.signal.throwIfAborted();
    const index = boot.containers.indexOf(container);
    const held = boot.held[index];
    if (held === undefined)
      throw new CheckpointError("container-unknown", `The sandbox has no container "${container}".`);
    if (saves.has(boot.id))
      throw new CheckpointError("busy", "The sandbox is being saved already; try again when that is over.");
    const work = save(boot, index, container);
    const over = work.catch(() => undefined).finally(() => saves.delete(boot.id));
    saves.set(boot.id, over);
    const saved = await inTime(work, container, call);
    const base = held.pulledDigest;
    return { ...saved, ...(base === undefined ? {} : { base }), tarDigests: held.layered?.tarDigests ?? [] };
  }

  async function inTime(work: Promise<Saved>, container: string, call: CheckpointCall): Promise<Saved> {
    const { signal, timeoutMs } = call;
    const late = (): Error =>
      new CheckpointError("timeout", `The container "${container}" was not saved within ${timeoutMs} ms.`);
    try {
      return await withDeadline({ clock: deps.clock, timeoutMs, signal, late }, (limited) => orAborted(work, limited));
    } catch (error) {
      void work.then(
        (saved) => saved.remove().catch((fault: unknown) => deps.log.error("Checkpoint not removed", { error: fault })),
        () => undefined,
      );
      throw error;
    }
  }

  async function save(boot: Boot, index: number, container: string): Promise<Saved> {
    const note = await deps.files.readNote(boot.id);
    if (note?.pid === undefined || !(await deps.control.alive(note))) throw lost();
    const expected = METADATA_BYTES + (await usedBytes({ id: note.id, pid: note.pid }));
    const place = await deps.staging.take(expected);
    if (place === undefined) throw full();
    try {
      return await saveInto(place, note, { index, container });
    } catch (error) {
      await place.remove();
      throw error;
    }
  }

  async function saveInto(
    place: StagingPlace,
    note: BootNote,
    of: { readonly index: number; readonly container: string },
  ): Promise<Saved> {
    const dir = join(place.dir, "image");
    const name = checkpointNameOf(of.index);
    const where = {
      bootDir: place.dir,
      upperDir: deps.files.pathsOf(note.id, "").upperDir,
      timeoutMs: HUNG_MS,
    };
    const startedMs = deps.clock.now();
    try {
      await deps.runsc.checkpoint(containerIdOf(note.id, of.index), name, dir, where);
    } catch (error) {
      throw error instanceof RunscError ? await faultOf(error, note, of.container) : error;
    }
    const sizes = await Promise.all((await readdir(dir)).map(async (file) => (await stat(join(dir, file))).size));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    return { dir, name, bytes, durationMs: deps.clock.now() - startedMs, remove: () => place.remove() };
  }

  async function faultOf(cause: RunscError, note: BootNote, container: string): Promise<CheckpointError> {
    if (!(await deps.control.alive(note))) return lost(cause);
    if (/no space left on device/i.test(cause.message)) return full(cause);
    if (ENDED.test(cause.message)) {
      const words = `The container "${container}" has ended: only a running container can be saved.`;
      return new CheckpointError("container-ended", words, { cause });
    }
    return new CheckpointError("failed", `The container "${container}" could not be saved.`, { cause });
  }

  return {
    take,
    /** Waits for saves under way, which nobody may wait for any more. */
    close: async (): Promise<void> => void (await Promise.all(saves.values())),
  };
}

type Saved = Omit<Checkpoint, "base" | "tarDigests">;

/** What runsc says of a container without a main process, in the several places where it notices. */
const ENDED = /no checkpointable filesystems|failed to find process|is not running|in state (?:stopped|created)/i;

function lost(cause?: unknown): CheckpointError {
  return new CheckpointError("sandbox-lost", "The sandbox ended before it was saved.", { cause });
}

function full(cause?: unknown): CheckpointError {
  return new CheckpointError("disk-full", "The machine's disk has too little room to save the container.", { cause });
}
