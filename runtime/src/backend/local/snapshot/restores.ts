import type { MounterAnswer, WriteGround } from "#api/mounter-channel.ts";
import { backoffMs } from "#core/backoff.ts";
import type { Change } from "#core/change.ts";
import type { Clock } from "#core/clock.ts";
import type { ContainerSpec, SandboxSpec } from "#core/sandbox.ts";
import { compareBase, otherBaseMessage } from "#core/snapshot/compare-base.ts";
import type { Call } from "#runtime/backend/port.ts";
import { StartError } from "../machine.ts";
import { LayerLost } from "../image-store.ts";
import { MounterError, type Mounter } from "../mounter.ts";
import type { RootRestore } from "../root-restore.ts";

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
const HOLD_TRIES = 3;

/** Finds what containers are to be restored from, and waits for what is not there yet. */
export interface Restores {
  /** By the names of the containers that start from snapshots. Throws StartError, or the signal's reason. */
  find(spec: SandboxSpec, call: RestoresCall): Promise<ReadonlyMap<string, FoundRestore>>;
}

type Named = ContainerSpec & { readonly rootfsSnapshotName: string };
type Found = { readonly found: MounterAnswer<"find"> } | { readonly missing: string };

export function createRestores(deps: RestoresDeps): Restores {
  const { mounter, clock, random, namespace, change } = deps;

  /** All at one moment: of two that are waited for, none is older than the other's coming. */
  async function find(spec: SandboxSpec, call: RestoresCall): Promise<ReadonlyMap<string, FoundRestore>> {
    const named = spec.containers.filter(isNamed);
    if (named.length === 0) return new Map();
    /** Faults that are in the log: it is asked again and again. */
    const told = new Set<string>();
    for (let attempt = 0; ; attempt += 1) {
      const changed = new AbortController();
      const woken = change.wait(AbortSignal.any([changed.signal, call.signal])).catch(() => undefined);
      try {
        const looks = await Promise.all(named.map((container) => look(container.rootfsSnapshotName, told, call)));
        const missing = looks.flatMap((each) => ("missing" in each ? [each.missing] : []));
        call.onWait(missing[0]);
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

  async function restoreOf(container: Named, look: Found | undefined, call: Call): Promise<[string, FoundRestore]> {
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
    call: Call,
  ): Promise<FoundRestore> {
    const fetch = fetchOf(layer, call);
    const held = await fetch(call.signal);
    held.release();
    const warning = `The snapshot "${snapshotName}" is an archive without a manifest: whether it is whole, and of which image, nobody knows.`;
    call.log.warn("A snapshot without a manifest is restored", { snapshot: snapshotName });
    return {
      root: { snapshotName, layers: [{ tarDigest: held.tarDigest, fetch }] },
      restored: { ground: { kind: "raw", layer }, warning },
    };
  }

  function fetchOf(layer: Parameters<Mounter["hold"]>[0]["layer"], { log }: Call) {
    return async (signal: AbortSignal) => {
      for (let attempt = 0; ; attempt += 1) {
        try {
          const { path, tarDigest, tarBytes, whole, release } = await mounter.hold(
            { namespace, layer },
            { signal, log },
          );
          const told = whole.catch((error: unknown) => {
            if (!(error instanceof MounterError)) throw error;
            throw error.code === "unavailable" ? new LayerLost(startErrorOf(error)) : startErrorOf(error);
          });
          told.catch(() => undefined);
          return { path, tarDigest, release, coming: { bytes: tarBytes, whole: told } };
        } catch (error) {
          signal.throwIfAborted();
          if (!(error instanceof MounterError)) throw error;
          if (error.code !== "unavailable" || attempt + 1 >= HOLD_TRIES) throw startErrorOf(error);
          await clock.sleep(backoffMs(attempt, PAUSE, random), signal);
        }
      }
    };
  }

  return { find };
}

const OVER = "the look is over";

function isNamed(container: ContainerSpec): container is Named {
  return container.rootfsSnapshotName !== undefined;
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
