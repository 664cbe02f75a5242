import type { MounterAnswer, WriteGround } from "#api/mounter-channel.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Change } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import type { ContainerSpec, SandboxSpec } from "#core/sandbox.ts";
import { compareBase, otherBaseMessage } from "#core/snapshot/compare-base.ts";
import type { Call } from "#runtime/backend/port.ts";
import { StartError } from "../machine.ts";
import { LayerLost, type LayerUse } from "../image-store.ts";
import { MounterError, type Mounter } from "../mounter.ts";
import type { RootRestore } from "../root-restore.ts";
import { StartWait, type ComingLayers } from "./start-wait.ts";

/** What a container was restored from: what its next snapshot stands on. */
export interface Restored {
  readonly ground: WriteGround;
  /** What its user is to know, in one sentence. */
  readonly warning?: string;
}

export interface FoundRestore {
  readonly root: RootRestore;
  readonly restored: Restored;
}

export interface RestoresDeps {
  readonly mounter: Pick<Mounter, "find" | "hold">;
  readonly clock: Clock;
  readonly random: () => number;
  readonly namespace: string;
  /** Notified when a snapshot may have come. */
  readonly change: Change;
}

export interface RestoresCall extends Call {
  /** What is waited for, as the end of "It waits for …"; undefined = nothing any more. */
  onWait(what: string | undefined): void;
}

const PAUSE = { firstMs: 500, mostMs: 5_000 };
/** Nothing but zeroes is packed so small. */
const MOSTLY_HOLES = 100;

/** Finds what containers are to be restored from, and waits for what is not there yet. */
export interface Restores {
  /**
   * Does `work` with what is found, by the names of the containers that start from snapshots. Waits for a
   * snapshot that does not exist yet and for a store that gives no answer: what it does not give all of is
   * found anew, and the work begun anew. Throws StartError, or the signal's reason.
   */
  start<T>(
    spec: SandboxSpec,
    call: RestoresCall,
    work: (found: ReadonlyMap<string, FoundRestore>) => Promise<T>,
  ): Promise<T>;
}

/** A start, as the pieces below see it. */
interface Starting extends Call {
  readonly wait: StartWait;
}

type Named = ContainerSpec & { readonly rootfsSnapshotName: string };
type Found = { readonly found: MounterAnswer<"find"> } | { readonly missing: string };

export function createRestores(deps: RestoresDeps): Restores {
  const { mounter, clock, random, namespace, change } = deps;
  /** Layers on their way from the store, for whichever start. */
  const coming: ComingLayers = new Set();

  async function start<T>(
    spec: SandboxSpec,
    { onWait, ...call }: RestoresCall,
    work: (found: ReadonlyMap<string, FoundRestore>) => Promise<T>,
  ): Promise<T> {
    const named = spec.containers.filter(isNamed);
    if (named.length === 0) return work(new Map());
    const wait = new StartWait(coming, onWait);
    const over = new AbortController();
    void wait.look(clock, AbortSignal.any([over.signal, call.signal]));
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          return await work(await find(named, { ...call, wait }));
        } catch (error) {
          call.signal.throwIfAborted();
          if (!(error instanceof LayerLost)) throw error;
          call.log.warn("The store does not give all of a snapshot, trying again", { error });
          wait.lost(error.message);
          await clock.sleep(backoffMs(attempt, PAUSE, random), call.signal);
        }
      }
    } finally {
      over.abort(OVER);
      wait.end();
    }
  }

  /** All at one moment: of two that are waited for, none is older than the other's coming. */
  async function find(named: readonly Named[], call: Starting): Promise<ReadonlyMap<string, FoundRestore>> {
    const { wait } = call;
    /** Faults that are in the log: it is asked again and again. */
    const told = new Set<string>();
    for (let attempt = 0; ; attempt += 1) {
      const changed = new AbortController();
      const woken = change.wait(AbortSignal.any([changed.signal, call.signal])).catch(() => undefined);
      try {
        wait.asks(named[0]?.rootfsSnapshotName);
        const looks = await Promise.all(named.map((container) => look(container.rootfsSnapshotName, told, call)));
        const missing = looks.flatMap((each) => ("missing" in each ? [each.missing] : []));
        wait.found(missing[0]);
        if (missing.length === 0)
          return new Map(await Promise.all(named.map((container, index) => restoreOf(container, looks[index], call))));
        const pause = clock.sleep(backoffMs(attempt, PAUSE, random), AbortSignal.any([changed.signal, call.signal]));
        await Promise.race([pause.catch(() => undefined), woken]);
      } finally {
        changed.abort(OVER);
      }
      call.signal.throwIfAborted();
    }
  }

  async function look(name: string, told: Set<string>, call: Call): Promise<Found> {
    try {
      const found = await mounter.find({ namespace, name }, call);
      if (found.kind !== "absent") return { found };
      return { missing: `the snapshot "${name}", which does not exist yet` };
    } catch (error) {
      call.signal.throwIfAborted();
      if (!(error instanceof MounterError)) throw error;
      if (!told.has(error.message)) call.log.warn("The store of snapshots does not answer", { error });
      told.add(error.message);
      return { missing: `the snapshot "${name}", as the store does not say what it is: ${withoutDot(error.message)}` };
    }
  }

  async function restoreOf(container: Named, look: Found | undefined, call: Starting): Promise<[string, FoundRestore]> {
    const { name, rootfsSnapshotName: snapshotName, rootfsSnapshotAllowOtherBase = false } = container;
    if (look === undefined || !("found" in look) || look.found.kind === "absent") throw new Error("Nothing was found");
    const { found } = look;
    if (found.kind === "unreadable") throw new StartError("SnapshotDamaged", found.fault);
    if (found.kind === "raw") return [name, await rawRestore(snapshotName, found.layer, call)];
    const { base, layers } = found.manifest;
    const isOther = compareBase(base, container) === "different";
    if (isOther && !rootfsSnapshotAllowOtherBase)
      throw new StartError("RootfsRestoreConfigurationError", otherBaseMessage(snapshotName, base, container));
    const root: RootRestore = {
      snapshotName,
      ...(rootfsSnapshotAllowOtherBase ? {} : { base }),
      layers: layers.map((layer) => ({ tarDigest: layer.tarDigest, fetch: fetchOf(layer, call) })),
    };
    const ground = { kind: "layers" as const, layers };
    if (base.image === container.image || !rootfsSnapshotAllowOtherBase) return [name, { root, restored: { ground } }];
    const warning = `The snapshot "${snapshotName}" was taken over "${base.image}", and is restored onto "${container.image}" as asked.`;
    return [name, { root, restored: { ground, warning } }];
  }

  /** Nothing but its bytes says what an archive without a manifest holds: they are brought now. */
  async function rawRestore(
    snapshotName: string,
    layer: Extract<WriteGround, { readonly kind: "raw" }>["layer"],
    call: Starting,
  ): Promise<FoundRestore> {
    const fetch = fetchOf(layer, call);
    const held = await fetch(call.signal, { isReadOnce: false });
    held.release();
    const warning = `The snapshot "${snapshotName}" is an archive without a manifest: whether it is whole, and of which image, nobody knows.`;
    call.log.warn("A snapshot without a manifest is restored", { snapshot: snapshotName });
    return {
      root: { snapshotName, layers: [{ tarDigest: held.tarDigest, fetch }] },
      restored: { ground: { kind: "raw", layer }, warning },
    };
  }

  function fetchOf(layer: Parameters<Mounter["hold"]>[0]["layer"], { log, wait }: Starting) {
    wait.needs(layer.key);
    // Holes cost nothing on the disk, and go through a pipe as the zeroes that they stand for.
    const isMostlyHoles = "digest" in layer && layer.tarBytes > MOSTLY_HOLES * layer.bytes;
    return async (signal: AbortSignal, use: LayerUse) => {
      const isReadOnce = use.isReadOnce && !isMostlyHoles;
      const one = { key: layer.key };
      coming.add(one);
      try {
        const { path, tarDigest, tarBytes, whole, release } = await mounter.hold(
          { namespace, layer, isReadOnce },
          { signal, log },
        );
        const told = whole
          .finally(() => coming.delete(one))
          .catch((error: unknown) => {
            throw fetchFault(error);
          });
        told.catch(() => undefined);
        return {
          path,
          tarDigest,
          release,
          coming: { bytes: tarBytes, isPipe: isReadOnce && "digest" in layer, whole: told },
        };
      } catch (error) {
        coming.delete(one);
        signal.throwIfAborted();
        throw fetchFault(error);
      }
    };
  }

  return { start };
}

const OVER = "the look is over";

function isNamed(container: ContainerSpec): container is Named {
  return container.rootfsSnapshotName !== undefined;
}

function fetchFault(error: unknown): unknown {
  if (!(error instanceof MounterError)) return error;
  if (error.code !== "unavailable") return startErrorOf(error);
  const what = `the rest of its snapshot, which the store does not give: ${withoutDot(error.message)}`;
  return new LayerLost(what, { cause: error });
}

function startErrorOf(error: MounterError): StartError {
  const { code, message } = error;
  if (code === "damaged") return new StartError("SnapshotDamaged", message, { cause: error });
  const isGone = code === "absent" || code === "gone";
  const words = isGone ? `A part of the snapshot is no longer in the store: ${message}` : message;
  return new StartError(isGone ? "SnapshotDamaged" : "RootfsRestoreConfigurationError", words, { cause: error });
}

function withoutDot(text: string): string {
  return text.replace(/\.$/, "");
}
