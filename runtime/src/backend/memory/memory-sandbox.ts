import { createChange, type Change } from "#core/change.ts";
import { decide, outcomeOf, type Observed, type ObservedContainer } from "#core/lifecycle.ts";
import type { Sandbox } from "#core/sandbox.ts";
import type { CreateSandbox } from "../port.ts";
import { createFileStore } from "./agent/file-store.ts";
import type { SimulatedContainer } from "./agent/command-run.ts";
import { createMemoryAgent, type MemoryAgent } from "./agent/memory-agent.ts";
import { createPipe } from "./process/pipe.ts";
import { runProgram } from "./process/program.ts";
import type { MemoryWorld } from "./memory-world.ts";

/** One simulated sandbox: its facts, the state they decide, and its agent. */
export interface MemorySandbox {
  readonly change: Change;
  readonly agent: MemoryAgent;
  view(): Sandbox;
  readonly gone: boolean;
  requestRemoval(): void;
  /** Stops its timers and processes without a trace in its state. */
  halt(): void;
}

export function startSandbox(request: CreateSandbox, world: MemoryWorld, onGone: () => void): MemorySandbox {
  const { clock } = world;
  const change = createChange();
  const life = new AbortController();
  const containers = request.spec.containers.map((spec): SimulatedContainer => ({
    name: spec.name,
    env: spec.env,
    files: createFileStore(world.diskBytes),
  }));
  const agent = createMemoryAgent(containers, world);
  let observed: Observed = { spec: request.spec, createdAtMs: clock.now(), agentReady: false };
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
    waitForDeadline(decision.nextDeadlineMs, nowMs);
    change.notify();
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
    requestRemoval: () => observe({ removeRequestedAtMs: clock.now() }),
    halt() {
      life.abort();
      deadline.abort();
    },
  };
}
