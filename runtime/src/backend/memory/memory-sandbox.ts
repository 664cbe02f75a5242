import { createChange, type Change } from "#core/change.ts";
import { decide, outcomeOf, type Observed, type ObservedContainer } from "#core/lifecycle.ts";
import type { ContainerSpec, Sandbox } from "#core/sandbox.ts";
import { terminationRequest } from "#core/snapshot/decide-termination.ts";
import type { Snapshot } from "#core/snapshot/snapshot.ts";
import type { CreateSandbox, CreateSnapshot } from "../port.ts";
import { createFileStore } from "./agent/file-store.ts";
import type { SimulatedContainer } from "./agent/command-run.ts";
import { createMemoryAgent, type MemoryAgent } from "./agent/memory-agent.ts";
import { createPipe } from "./process/pipe.ts";
import { runProgram } from "./process/program.ts";
import type { MemoryWorld } from "./memory-world.ts";
import type { Frozen } from "./snapshot/memory-record.ts";
import { restoreFrom } from "./snapshot/restore-from.ts";
import type { SnapshotShelf } from "./snapshot/snapshot-shelf.ts";

export interface SandboxDeps {
  readonly world: MemoryWorld;
  readonly shelf: SnapshotShelf;
  /** Resolves with its end. */
  takeSnapshot(request: CreateSnapshot): Promise<Snapshot>;
  onGone(): void;
}

/** One simulated sandbox: its facts, the state they decide, and its agent. */
export interface MemorySandbox {
  readonly change: Change;
  readonly agent: MemoryAgent;
  view(): Sandbox;
  readonly gone: boolean;
  requestRemoval(): void;
  /** The files of a container as they are now; of the first one when none is named. */
  freeze(containerName: string | undefined): Frozen;
  /** Stops its timers and processes without a trace in its state. */
  halt(): void;
}

export function startSandbox(request: CreateSandbox, deps: SandboxDeps): MemorySandbox {
  const { world, onGone } = deps;
  const { clock } = world;
  const change = createChange();
  const life = new AbortController();
  const containers = request.spec.containers.map((spec): SimulatedContainer => ({
    name: spec.name,
    env: spec.env,
    files: createFileStore(world.diskBytes),
  }));
  const agent = createMemoryAgent(containers, world);
  const last = world.takesSnapshots ? terminationRequest(request.id, request.spec.terminationPolicy) : undefined;
  let observed: Observed = {
    spec: request.spec,
    createdAtMs: clock.now(),
    agentReady: false,
    ...(last === undefined ? {} : { snapshotAtEnd: { timeoutSeconds: last.spec.timeoutSeconds } }),
  };
  let decision = decide(observed, clock.now(), world.retentionMs);
  let deadline = new AbortController();
  let gone = false;

  const observe = (facts: Partial<Observed>): void => {
    if (gone) return;
    observed = { ...observed, ...facts };
    settle();
  };

  function settle(): void {
    const nowMs = clock.now();
    decision = decide(observed, nowMs, world.retentionMs);
    const ended = observed.ended ?? outcomeOf(decision, nowMs);
    if (ended !== undefined && observed.ended === undefined) life.abort();
    observed = {
      ...observed,
      ...(ended === undefined ? {} : { ended }),
      ...(decision.phase === "Running" ? { startedAtMs: observed.startedAtMs ?? nowMs } : {}),
    };
    if (decision.remove) return remove();
    if (decision.snapshotAtEnd?.kind === "take") takeLast(decision.snapshotAtEnd.deadlineAtMs);
    waitForDeadline(decision.nextDeadlineMs, nowMs);
    change.notify();
  }

  /** Begins the snapshot at the end and keeps its deadline. */
  function takeLast(deadlineAtMs: number): void {
    if (last === undefined) return;
    const snapshotAtEnd = { timeoutSeconds: last.spec.timeoutSeconds, deadlineAtMs };
    observed = { ...observed, snapshotAtEnd: { ...snapshotAtEnd, snapshot: { phase: "Pending" } } };
    deps.takeSnapshot({ ...last, requestDigest: last.id }).then(
      (snapshot) => observe({ snapshotAtEnd: { ...snapshotAtEnd, snapshot } }),
      (error: Error) =>
        observe({ snapshotAtEnd: { ...snapshotAtEnd, snapshot: { phase: "Failed", message: error.message } } }),
    );
  }

  function waitForDeadline(atMs: number | undefined, nowMs: number): void {
    deadline.abort();
    deadline = new AbortController();
    if (atMs !== undefined) clock.sleep(atMs - nowMs, deadline.signal).then(settle, () => undefined);
  }

  function remove(): void {
    life.abort();
    deadline.abort();
    change.notify();
    queueMicrotask(() => {
      gone = true;
      onGone();
      change.notify();
    });
  }

  async function start(): Promise<void> {
    const missing = request.spec.containers.find((container) => !world.hasImage(container.image));
    if (missing !== undefined) {
      const message = `The image "${missing.image}" of the container "${missing.name}" does not exist.`;
      return observe({ failure: { reason: "ImageNotFound", message } });
    }
    for (const [i, spec] of request.spec.containers.entries()) if (!(await restore(spec, containers[i]))) return;
    await clock.sleep(Math.max(...request.spec.containers.map(({ image }) => world.startMs(image))), life.signal);
    const states: ObservedContainer[] = request.spec.containers.map(({ name }) => ({ name, state: "running" }));
    request.spec.containers.forEach(({ name, command }, i) => {
      runMain(command ?? [], containers[i]).then(
        (code) => {
          states[i] = { name, state: "exited", exitCode: code === -1 ? 137 : code };
          observe({ containers: [...states] });
        },
        () => undefined,
      );
    });
    observe({ containers: [...states], agentReady: true });
  }

  /** False when the sandbox cannot start because of it. */
  async function restore(spec: ContainerSpec, container: SimulatedContainer | undefined): Promise<boolean> {
    const name = spec.rootfsSnapshotName;
    if (name === undefined || container === undefined) return true;
    while (deps.shelf.find(name) === undefined) {
      observe({ waitsFor: `the snapshot "${name}", which does not exist yet` });
      await deps.shelf.change.wait(life.signal);
    }
    const { waitsFor: _, ...rest } = observed;
    observed = rest;
    const failure = await restoreFrom(deps, spec, container.files);
    if (failure !== undefined) observe({ failure });
    return failure === undefined;
  }

  function runMain(command: readonly string[], container: SimulatedContainer | undefined): Promise<number> {
    if (container === undefined) return Promise.resolve(0);
    const stdin = createPipe();
    stdin.close();
    const discard = async (): Promise<void> => undefined;
    const args = command.length === 0 ? ["sleep", "infinity"] : command;
    const env = new Map(Object.entries(container.env));
    const { files } = container;
    return runProgram({
      args,
      env,
      cwd: "/",
      stdin,
      out: discard,
      err: discard,
      files,
      clock,
      signal: life.signal,
      programs: world.programs,
      agent,
    });
  }

  life.signal.addEventListener("abort", () => agent.stop(), { once: true });
  waitForDeadline(decision.nextDeadlineMs, clock.now());
  start().catch(() => undefined);

  return {
    change,
    agent,
    get gone() {
      return gone;
    },
    view() {
      const { phase, reason, message } = decision;
      return {
        id: request.id,
        spec: request.spec,
        phase,
        reason,
        ...(message === undefined ? {} : { message }),
        createdAtMs: observed.createdAtMs,
        ...(observed.startedAtMs === undefined ? {} : { startedAtMs: observed.startedAtMs }),
        ...(observed.ended === undefined ? {} : { endedAtMs: observed.ended.atMs }),
        requestDigest: request.requestDigest,
      };
    },
    requestRemoval: () => observe({ removeRequestedAtMs: observed.removeRequestedAtMs ?? clock.now() }),
    freeze(containerName) {
      const name = containerName ?? containers[0]?.name ?? "";
      const at = containers.findIndex((container) => container.name === name);
      const [container, spec] = [containers[at], request.spec.containers[at]];
      const fault = (
        reason: "SandboxNotRunning" | "ContainerNotFound" | "ContainerEnded",
        message: string,
      ): Frozen => ({
        kind: "fault",
        reason,
        message,
      });
      if (observed.startedAtMs === undefined || observed.ended !== undefined) {
        return fault("SandboxNotRunning", `The sandbox "${request.id}" is ${decision.phase}, not Running.`);
      }
      if (container === undefined || spec === undefined)
        return fault("ContainerNotFound", `The sandbox "${request.id}" has no container "${name}".`);
      if (observed.containers?.[at]?.state === "exited")
        return fault("ContainerEnded", `The container "${name}" has ended: there is nothing to take any more.`);
      return { kind: "container", name, image: spec.image, tree: container.files.copy() };
    },
    halt() {
      life.abort();
      deadline.abort();
    },
  };
}
