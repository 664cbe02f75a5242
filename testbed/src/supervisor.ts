import type { Clock } from "#core/clock.ts";
import type { Component, ComponentStatus, Probe } from "./component.ts";

/** A program that runs. */
export interface Running {
  readonly pid: number;
  /** Resolves when it has ended. */
  readonly ended: Promise<void>;
  kill(signal: string): void;
}

export interface SupervisorPorts {
  readonly clock: Clock;
  readonly start: (component: Component) => Running;
  readonly probe: (probe: Probe) => Promise<boolean>;
}

/** Keeps the components of a node running; a program that ends is started again at once. */
export interface Supervisor {
  /** Starts everything, each component when those before it are healthy; returns when all were started once. */
  run(signal: AbortSignal): Promise<void>;
  status(): Promise<ComponentStatus[]>;
  /** False when there is no such component or it does not run. */
  kill(name: string, signal: string): boolean;
  /** Ends a component and keeps it down until `start`. */
  stop(name: string): Promise<boolean>;
  start(name: string): boolean;
}

interface Member {
  readonly component: Component;
  running?: Running | undefined;
  wanted: boolean;
  begun: boolean;
  restarts: number;
  delayMs: number;
}

const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 2_000;
/** Who ran this long starts again without delay. */
const STEADY_MS = 10_000;
const PROBE_EVERY_MS = 50;
/** An API server waits a minute for those who watch. */
const STOP_WITHIN_MS = 3_000;

export function createSupervisor(components: readonly Component[], ports: SupervisorPorts): Supervisor {
  const members = new Map<string, Member>(
    components.map((component) => [
      component.name,
      { component, wanted: true, begun: false, restarts: 0, delayMs: FIRST_DELAY_MS },
    ]),
  );
  const { clock } = ports;

  function launch(member: Member): void {
    const startedMs = clock.now();
    member.begun = true;
    const running = ports.start(member.component);
    member.running = running;
    void running.ended.then(async () => {
      member.running = undefined;
      if (!member.wanted) return;
      member.delayMs =
        clock.now() - startedMs >= STEADY_MS ? FIRST_DELAY_MS : Math.min(member.delayMs * 2, LONGEST_DELAY_MS);
      await clock.sleep(member.delayMs);
      // Meanwhile it may have been stopped, or stopped and started.
      if (!member.wanted || member.running !== undefined) return;
      member.restarts += 1;
      launch(member);
    });
  }

  async function untilHealthy(names: readonly string[], signal: AbortSignal): Promise<void> {
    for (const name of names) {
      const member = members.get(name);
      if (member === undefined) throw new RangeError(`There is no component "${name}" to wait for`);
      while (!(await ports.probe(member.component.probe))) await clock.sleep(PROBE_EVERY_MS, signal);
    }
  }

  return {
    async run(signal) {
      await Promise.all(
        [...members.values()].map(async (member) => {
          await untilHealthy(member.component.after, signal);
          if (member.wanted && !member.begun) launch(member);
        }),
      );
    },
    status: () =>
      Promise.all(
        [...members.values()].map(async ({ component, running, wanted, begun, restarts }) => {
          const state = running !== undefined ? "running" : !wanted ? "stopped" : begun ? "restarting" : "waiting";
          const healthy = running !== undefined && (await ports.probe(component.probe));
          return {
            name: component.name,
            state,
            ...(running === undefined ? {} : { pid: running.pid }),
            restarts,
            healthy,
          } as const;
        }),
      ),
    kill(name, signal) {
      const running = members.get(name)?.running;
      running?.kill(signal);
      return running !== undefined;
    },
    async stop(name) {
      const member = members.get(name);
      if (member === undefined) return false;
      member.wanted = false;
      const { running } = member;
      if (running === undefined) return true;
      running.kill("SIGTERM");
      const late = new AbortController();
      const force = clock.sleep(STOP_WITHIN_MS, late.signal).then(
        () => running.kill("SIGKILL"),
        () => undefined,
      );
      await running.ended;
      late.abort();
      await force;
      return true;
    },
    start(name) {
      const member = members.get(name);
      if (member === undefined) return false;
      member.wanted = true;
      if (member.running === undefined) launch(member);
      return true;
    },
  };
}
