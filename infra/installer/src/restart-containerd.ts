import { configPathOf, unitOf, type ContainerdProcess } from "./domain/containerd-process.ts";
import type { CriStatus } from "./domain/cri-message.ts";
import type { Call, Cri, Host } from "./ports.ts";
import { messageOf, RefusedError } from "./refused-error.ts";
import type { Clock } from "#core/clock.ts";

export interface RestartOptions {
  /** `auto`: through systemd where containerd belongs to a unit, else not at all. `signal`: ask the process to end; something starts it again. */
  readonly restart: "auto" | "signal";
  readonly restartTimeoutMs: number;
  readonly clock: Clock;
}

interface Target {
  readonly process: ContainerdProcess;
  readonly socket: string;
}

const POLL_MS = 200;

/** Throws when containerd could not be restarted: to be asked before anything is changed. */
export async function requireRestart(
  host: Host,
  process: ContainerdProcess,
  options: Pick<RestartOptions, "restart">,
  call: Call,
): Promise<void> {
  if (options.restart === "signal" || (await serviceOf(host, process, call)) !== undefined) return;
  throw new RefusedError(
    "containerd is no service of systemd on this node, and nothing may start it again when it ends: set ATOLL_CONTAINERD_RESTART=signal if something does.",
  );
}

/** Restarts containerd and waits until it answers as wanted. Running containers go on meanwhile. */
export async function restartContainerd(
  { host, cri }: { readonly host: Host; readonly cri: Cri },
  { process, socket }: Target,
  options: RestartOptions,
  { isReady, call }: { readonly isReady: (status: CriStatus) => boolean; readonly call: Call },
): Promise<void> {
  const { clock } = options;
  const path = configPathOf(process);
  const find = async (): Promise<ContainerdProcess | undefined> =>
    (await host.containerds()).find((one) => configPathOf(one) === path);
  const before = await find();
  const deadline = clock.now() + options.restartTimeoutMs;
  if (options.restart === "signal") {
    if (before !== undefined) await host.terminate(before.pid);
  } else {
    const unit = (before && (await serviceOf(host, before, call))) ?? unitOf(process);
    // Any process of the machine will do for its file system: containerd itself may be down.
    await host.run(before?.pid ?? 1, ["systemctl", "restart", unit ?? "containerd.service"], call);
  }
  for (let now = await find(); now === undefined || now.pid === before?.pid; now = await find()) {
    if (clock.now() >= deadline) throw new Error("containerd was not started again in time.");
    await clock.sleep(POLL_MS, call.signal);
  }
  const timeoutMs = Math.max(deadline - clock.now(), POLL_MS);
  await waitForContainerd(cri, socket, { isReady, timeoutMs, clock }, call);
}

/** Waits until containerd answers, and as wanted. */
export async function waitForContainerd(
  cri: Cri,
  socket: string,
  options: { readonly isReady: (status: CriStatus) => boolean; readonly timeoutMs: number; readonly clock: Clock },
  call: Call,
): Promise<void> {
  const deadline = options.clock.now() + options.timeoutMs;
  for (;;) {
    const answer = await cri.status(socket, call).catch(messageOf);
    call.signal.throwIfAborted();
    if (typeof answer !== "string" && options.isReady(answer)) return;
    if (options.clock.now() >= deadline) {
      throw new Error(
        `containerd does not answer as it should at ${socket}: ${typeof answer === "string" ? answer : describe(answer)}.`,
      );
    }
    await options.clock.sleep(POLL_MS, call.signal);
  }
}

function describe({ isNetworkReady, runtimes }: CriStatus): string {
  return `its pod network is ${isNetworkReady ? "" : "not "}ready and its runtimes are ${Object.keys(runtimes).join(", ") || "none"}`;
}

/** The unit whose main process is containerd or its parent: that of k3s and RKE2 starts it. A unit that merely holds it is not meant. */
async function serviceOf(host: Host, process: ContainerdProcess, call: Call): Promise<string | undefined> {
  const unit = unitOf(process);
  if (unit === undefined) return undefined;
  const command = ["systemctl", "show", "--property=MainPID", "--value", unit];
  const mainPid = Number(await host.run(process.pid, command, call).catch(() => ""));
  return mainPid > 1 && [process.pid, process.parentPid].includes(mainPid) ? unit : undefined;
}
