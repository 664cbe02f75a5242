import type { SandboxResource } from "#api/crd/sandbox.ts";
import { systemClock } from "#core/clock.ts";
import type { KubeClient } from "#core/kubernetes/client.ts";
import { createInformer } from "#core/kubernetes/informer.ts";
import { ANNOTATION, SANDBOX_FINALIZER } from "#core/kubernetes/names.ts";
import { SANDBOXES } from "#core/kubernetes/resources.ts";
import { sandboxState } from "#core/kubernetes/sandbox-state.ts";
import { silentLog } from "#core/log.ts";
import { call } from "./plane-client.ts";

/** Does a gateway's writes, and follows sandboxes as a gateway does. */
export interface Creator {
  /** Creates and confirms each, so many at once. */
  create(names: readonly string[], atOnce: number): Promise<void>;
  remove(names: readonly string[], atOnce: number): Promise<void>;
  /** Resolves when each is Running. */
  running(names: readonly string[]): Promise<void>;
  gone(names: readonly string[]): Promise<void>;
  end(): void;
}

export async function createCreator(
  client: KubeClient,
  { namespace, waitMs }: { readonly namespace: string; readonly waitMs: number },
): Promise<Creator> {
  const abort = new AbortController();
  const informer = createInformer(client, SANDBOXES, {
    clock: systemClock,
    log: silentLog,
    random: Math.random,
    query: { namespace },
  });
  const waits = new Set<() => void>();
  informer.onChange(() => {
    for (const look of waits) look();
  });
  void informer.run(abort.signal);
  await informer.synced(abort.signal);

  const until = (isDone: (name: string) => boolean, names: readonly string[]): Promise<void> =>
    new Promise((resolve, reject) => {
      const left = new Set(names);
      const timer = setTimeout(() => {
        waits.delete(look);
        reject(new Error(`Waited ${waitMs} ms in vain for ${left.size} sandboxes, among them ${[...left][0]}`));
      }, waitMs);
      const look = (): void => {
        for (const name of left) {
          if (!isDone(name)) return;
          left.delete(name);
        }
        waits.delete(look);
        clearTimeout(timer);
        resolve();
      };
      waits.add(look);
      look();
    });
  const phaseOf = (name: string): string | undefined => {
    const found = informer.get(`${namespace}/${name}`);
    return found === undefined ? undefined : sandboxState(found).phase;
  };

  return {
    create: (names, atOnce) =>
      eachOf(names, atOnce, async (name) => {
        await client.create(SANDBOXES, sandboxDraft(namespace, name), call());
        const confirmation = { metadata: { annotations: { [ANNOTATION.provisional]: null } } };
        await client.patch(SANDBOXES, { namespace, name }, confirmation, call());
      }),
    remove: (names, atOnce) =>
      eachOf(names, atOnce, async (name) => {
        await client.remove(SANDBOXES, { namespace, name }, call());
      }),
    running: (names) => until((name) => phaseOf(name) === "Running", names),
    gone: (names) => until((name) => phaseOf(name) === undefined, names),
    end: () => abort.abort(new Error("the test is over")),
  };
}

export async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let item = items[next]; item !== undefined; item = items[next]) {
      next += 1;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** A sandbox as a gateway makes it. */
export function sandboxDraft(namespace: string, name: string): SandboxResource {
  return {
    metadata: {
      name,
      namespace,
      finalizers: [SANDBOX_FINALIZER],
      annotations: { [ANNOTATION.provisional]: "true", [ANNOTATION.requestDigest]: "0".repeat(64) },
    },
    spec: {
      podTemplate: { spec: { containers: [{ name: "sandbox0", image: "registry.invalid/image:1" }] } },
      startupTimeoutSeconds: 600,
      timeoutSeconds: 36_000,
    },
  };
}
