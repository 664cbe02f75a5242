import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SandboxResource, SandboxRootfsRestore } from "#api/crd/sandbox.ts";
import type { SnapshotManifest } from "#api/snapshot-manifest.ts";
import type { ContainerStatus, Pod } from "#core/kubernetes/pod.ts";
import { silentLog } from "#core/log.ts";
import { createManualClock } from "../../../test/harness/manual-clock.ts";
import { createRestoreReconciler } from "./restore-reconciler.ts";
import type { FoundRestore, RestoreWork } from "./restore-work.ts";
import { createSnapshotNews } from "./snapshot-news.ts";

const never = new AbortController().signal;
const UID = "11111111-2222-3333-4444-555555555555";
const NAMES = ["main", "second"];
const SNAPSHOT: Readonly<Record<string, string>> = { main: "work", second: "tools" };

const Step = fc.oneof(
  fc.record({ kind: fc.constant("publish" as const), container: fc.constantFrom(...NAMES) }),
  fc.record({ kind: fc.constantFrom("store", "api", "kubelet" as const), isDown: fc.boolean() }),
  fc.record({ kind: fc.constant("start" as const), container: fc.constantFrom(...NAMES) }),
  fc.record({ kind: fc.constantFrom("remove", "kill", "look" as const) }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
);
type Step = typeof Step extends fc.Arbitrary<infer T> ? T : never;

/** One sandbox on one node: what the store has, what lies in place, what its status says, how far its pod is. */
class Node {
  readonly clock = createManualClock();
  readonly stored = new Map<string, string>();
  readonly inPlace = new Map<string, string>();
  readonly isDown = { store: false, api: false, kubelet: false };
  said: readonly SandboxRootfsRestore[] = [];
  started: readonly ContainerStatus[] = [];
  isGone = false;
  lives = 0;
  releases = 0;
  /** Of each release: containers that were not in place as the status said. */
  readonly faults: string[] = [];
  #writes = 0;
  #life = new AbortController();
  #news = createSnapshotNews(this.clock);
  #reconciler = this.#begin();

  get pod(): Pod | undefined {
    if (this.isGone) return undefined;
    const owner = { apiVersion: "v1", kind: "Sandbox", name: "box", uid: UID };
    return {
      metadata: { name: "box-pod", uid: "p1", ownerReferences: [owner] },
      spec: { containers: NAMES.map((name) => ({ name, image: "debian:13" })) },
      status: { phase: "Pending", containerStatuses: this.started },
    };
  }

  get sandbox(): SandboxResource {
    return {
      metadata: { namespace: "team", name: "box", uid: UID },
      spec: {
        startupTimeoutSeconds: 90,
        podTemplate: { spec: { containers: NAMES.map((name) => ({ name, image: "debian:13" })) } },
        rootfsSnapshotSources: NAMES.map((name) => ({ snapshotName: SNAPSHOT[name] ?? "", containerName: name })),
      },
      status: { rootfsRestores: this.said },
    };
  }

  publish(container: string): void {
    const name = SNAPSHOT[container] ?? "";
    this.stored.set(name, `w${(this.#writes += 1)}`);
    this.#news.tell("team", name);
  }

  /** What dies with it says and does nothing more; what lies on the disk stays. */
  async kill(): Promise<void> {
    this.#life.abort(new Error("killed"));
    await this.#reconciler.idle();
    this.#life = new AbortController();
    this.#news = createSnapshotNews(this.clock);
    this.#reconciler = this.#begin();
    this.lives += 1;
  }

  async look(): Promise<void> {
    await this.#reconciler.reconcile("team/box", never);
    await this.clock.settle();
  }

  /** Kubelet asks, as often as it gets no answer; it starts the containers upon a yes. */
  ask(): void {
    const life = this.#life.signal;
    this.#reconciler.untilReleased({ namespace: "team", sandboxUid: UID }, life).then(
      () => this.#release(),
      () => undefined,
    );
  }

  #release(): void {
    if (this.isGone || this.started.length > 0) return;
    this.releases += 1;
    for (const container of NAMES) {
      const said = this.said.find(({ containerName }) => containerName === container);
      const writeId = this.inPlace.get(container);
      if (writeId === undefined || said?.phase !== "Ready" || said.writeId !== writeId) this.faults.push(container);
    }
  }

  #begin() {
    const life = this.#life.signal;
    const down = (what: "store" | "api"): void => {
      life.throwIfAborted();
      if (this.isDown[what]) throw new Error(`The ${what} gives no answer.`);
    };
    const held = (container: string) => ({ tarBytes: 1, remove: async () => void this.inPlace.delete(container) });
    const work: RestoreWork = {
      find: async ({ name }): Promise<FoundRestore | undefined> => {
        down("store");
        const writeId = this.stored.get(name);
        return writeId === undefined
          ? undefined
          : { manifest: { writeId, base: { image: "debian:13" } } as SnapshotManifest };
      },
      place: async (_owner, container, { manifest }, { signal }) => {
        await this.clock.sleep(500, signal);
        down("store");
        this.inPlace.set(container, manifest?.writeId ?? "");
        return held(container);
      },
      placed: async (_owner, container) => (this.inPlace.has(container) ? held(container) : undefined),
      sweep: async () => undefined,
      fault: (error) => ({ message: String(error), isDamage: false }),
    };
    return createRestoreReconciler(
      {
        work,
        clock: this.clock,
        random: () => 0.5,
        log: silentLog,
        find: () => ({ sandbox: this.sandbox, pod: this.pod }),
        findOwner: () => ({ sandbox: this.sandbox, pod: this.pod }),
        write: async (_job, restores) => {
          down("api");
          this.said = restores;
          return true;
        },
        untilWritten: this.#news.wait,
        enqueueAt: () => undefined,
      },
      life,
    );
  }
}

async function take(node: Node, step: Step): Promise<void> {
  if (step.kind === "publish") node.publish(step.container);
  else if (step.kind === "store" || step.kind === "api" || step.kind === "kubelet")
    node.isDown[step.kind] = step.isDown;
  else if (step.kind === "pass") await node.clock.advance(step.ms);
  else if (step.kind === "remove") node.isGone = true;
  else if (step.kind === "kill") await node.kill();
  else if (step.kind === "start" && node.releases > 0)
    node.started = [...node.started, { name: step.container, state: { running: {} } }];
}

describe("restores, whatever happens to mounter, store and API server", () => {
  test("containers are let start only from what is in place as the status says, and in the end they are", async () => {
    const seen = { released: 0, cleared: 0, lives: 0 };
    const run = async (steps: readonly Step[]): Promise<void> => {
      const node = new Node();
      for (const step of steps) {
        await take(node, step);
        await node.look();
        if (!node.isDown.kubelet) node.ask();
        await node.clock.settle();
      }
      node.isDown.store = false;
      node.isDown.api = false;
      for (const name of NAMES) node.publish(name);
      await node.look();
      node.ask();
      await node.clock.advance(120_000);
      if (!node.isGone && node.started.length === 0) expect(node.releases).toBeGreaterThan(0);
      expect(node.faults).toEqual([]);
      if (node.releases > 0) seen.released += 1;
      seen.lives += node.lives;
      node.isGone = true;
      await node.look();
      await node.clock.advance(1000);
      // What a killed life left is cleared away by the sweep of the next.
      if (node.lives === 0) {
        expect([...node.inPlace.keys()]).toEqual([]);
        seen.cleared += 1;
      }
    };
    await fc.assert(fc.asyncProperty(fc.array(Step, { maxLength: 25 }), run), { numRuns: 300 });
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(20);
  }, 60_000);
});
