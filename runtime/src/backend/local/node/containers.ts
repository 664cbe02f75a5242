import { renderResolvConf, type NetworkPlan } from "#core/network.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { ContainerPlan } from "../container-plan.ts";
import type { HoldOutcome } from "../hold.ts";
import { StartError, type Boot } from "../machine.ts";
import { sameNetwork } from "../need.ts";
import type { BootControl } from "./boot-control.ts";
import type { BootFiles, BootNote } from "./boot-files.ts";
import type { HeldContainers } from "./held-containers.ts";
import type { Net } from "./net.ts";

export interface ContainersDeps {
  readonly files: BootFiles;
  readonly net: Net;
  readonly held: HeldContainers;
  readonly control: BootControl;
}

/** Makes a boot that holds the right containers into a sandbox: network policy, then each container's program; throws StartError. */
export async function startContainers(
  deps: ContainersDeps,
  boot: Boot,
  sandbox: { readonly network: NetworkPlan; readonly plans: readonly ContainerPlan[] },
  call: Call,
): Promise<Boot> {
  const note = await deps.files.readNote(boot.id);
  if (note === undefined)
    throw new StartError("SandboxLost", "The booted sandbox disappeared before its containers were started.");
  const containers = sandbox.plans.map(({ name }) => name);
  await Promise.all([
    deps.files.writeNote({ ...note, network: sandbox.network, waiting: false, containers }),
    sameNetwork(note.network, sandbox.network) ? undefined : applyNetwork(deps, note, sandbox.network),
  ]);
  // One after the other, as in a pod: a later container may count on an earlier one.
  for (const [index, { name, order }] of sandbox.plans.entries()) {
    const outcome = await deps.held.release(boot.id, index, order, call.signal);
    if (outcome.kind !== "started") throw await startErrorOf(deps, boot.id, { name, program: order.args[0] }, outcome);
  }
  return { ...boot, containers };
}

/** Puts a policy in force on a boot's link, and its resolvers into the boot's file; nothing for none. */
export async function applyNetwork(
  { files, net }: Pick<ContainersDeps, "files" | "net">,
  { id, link }: BootNote,
  network: NetworkPlan | undefined,
): Promise<void> {
  if (network === undefined) return;
  await Promise.all([net.apply(link, network), files.writeResolv(id, renderResolvConf(network.dns))]);
}

const ENOENT = 2;
const E2BIG = 7;

async function startErrorOf(
  { control }: ContainersDeps,
  bootId: string,
  { name, program = "" }: { readonly name: string; readonly program: string | undefined },
  outcome: Exclude<HoldOutcome, { kind: "started" }>,
): Promise<StartError> {
  if (outcome.kind === "refused" && outcome.errno === ENOENT)
    return new StartError("CommandNotFound", `The container "${name}" has no program "${program}".`);
  if (outcome.kind === "refused" && outcome.errno === E2BIG)
    return new StartError(
      "PodCreationFailed",
      `The arguments and environment of container "${name}" are too long for a program.`,
    );
  if (outcome.kind === "refused")
    return new StartError("CommandNotFound", `The program "${program}" of container "${name}" cannot be executed.`);
  const death = await control.postMortem(bootId);
  if (death.reason === "OutOfMemory")
    return new StartError("OutOfMemory", `The container "${name}" ran out of memory while it started.`);
  return new StartError("PodCreationFailed", `The container "${name}" could not be started.`);
}
