import { parse } from "smol-toml";
import { faultOfChange } from "./domain/effective-config.ts";
import { isLoaded } from "./domain/loaded-runtime.ts";
import { planConfig, planRemoval, type ConfigPlan } from "./domain/plan-config.ts";
import { missingRunscFlags, renderRunscConfig, type CgroupDriver } from "./domain/runsc-config.ts";
import type { RuntimeSettings } from "./domain/runtime-section.ts";
import { effectiveConfig, lookAtNode, type LookOptions, type NodeFacts } from "./look-at-node.ts";
import type { Call, Cri, Host, ReleaseStore } from "./ports.ts";
import { messageOf, RefusedError } from "./refused-error.ts";
import { requireRestart, restartContainerd, waitForContainerd, type RestartOptions } from "./restart-containerd.ts";
import type { Log } from "#core/log.ts";

export interface InstallerOptions extends RestartOptions, LookOptions {
  readonly handler: string;
  /** Folder on the node that holds the releases. */
  readonly gvisorDir: string;
  /** Longest wait for the pod network. */
  readonly networkTimeoutMs: number;
}

export interface InstallerPorts {
  readonly host: Host;
  readonly releases: ReleaseStore;
  readonly cri: Cri;
  readonly log: Log;
}

/** What a pass found or made. */
export interface Installed {
  /** Undefined = a gVisor that somebody else brought. */
  readonly release?: string;
  /** Whether containerd was restarted. */
  readonly restarted: boolean;
}

export interface Installer {
  /** Brings the node to where gVisor works, from wherever it is; `mustTry` starts a pod even where nothing changed. Throws RefusedError. Safe to repeat. */
  install(call: Call & { readonly mustTry: boolean }): Promise<Installed>;
  /** Takes away what `install` brought. */
  uninstall(call: Call): Promise<void>;
}

type Undo = () => Promise<void>;

async function putBack(undo: readonly Undo[], cause: unknown): Promise<void> {
  try {
    for (const step of undo) await step();
  } catch (error) {
    throw new RefusedError(`The former state of containerd cannot be brought back: ${messageOf(error)}`, cause);
  }
}

export function createInstaller(ports: InstallerPorts, options: InstallerOptions): Installer {
  const { host, releases, cri, log } = ports;
  const settings: RuntimeSettings = {
    handler: options.handler,
    shimPath: `${options.gvisorDir}/current/containerd-shim-runsc-v1`,
    runscConfigPath: `${options.gvisorDir}/current/runsc.toml`,
  };

  const put = (path: string, text: string | undefined): Promise<void> =>
    text === undefined ? host.removeFile(path) : host.writeText(path, text);

  /** Writes a change only if containerd then reads exactly what was meant. */
  async function write(
    { process, config }: NodeFacts,
    plan: ConfigPlan & { kind: "write" },
    call: Call,
  ): Promise<void> {
    await put(plan.path, plan.text);
    // k3s and RKE2 make the configuration when they start: it is looked at then.
    if (config.target.kind === "template") return;
    const fault = await effectiveConfig(host, process, config.path, call).then(
      (after) => faultOfChange(config.effective, after, settings),
      messageOf,
    );
    if (fault === undefined) return;
    await put(plan.path, config.targetText);
    throw new RefusedError(`${plan.path} stays as it is: ${fault}.`);
  }

  async function prepareRelease(
    pid: number,
    driver: CgroupDriver,
    call: Call,
  ): Promise<{ release: string; folder: string }> {
    const placed = await releases.place();
    const programs = [
      [`${placed.folder}/runsc`, "--version"],
      [`${placed.folder}/containerd-shim-runsc-v1`, "-v"],
    ];
    for (const command of programs) {
      await host.run(pid, command, call).catch((error: unknown) => {
        throw new RefusedError(`gVisor does not run on this node: ${messageOf(error)}`, error);
      });
    }
    const path = `${placed.folder}/runsc.toml`;
    const wanted = renderRunscConfig(`${placed.folder}/runsc`, driver);
    if ((await host.readText(path)) !== wanted) await host.writeText(path, wanted);
    return placed;
  }

  /** Waits for the network that a pod needs, and starts one. */
  async function tryPod({ socket, cgroupDriver }: NodeFacts, call: Call): Promise<void> {
    const { networkTimeoutMs: timeoutMs, clock } = options;
    await waitForContainerd(cri, socket, { isReady: (status) => status.isNetworkReady, timeoutMs, clock }, call);
    await cri.tryPod(socket, { handler: settings.handler, cgroupDriver }, call);
  }

  async function useForeign(
    node: NodeFacts,
    configPath: string,
    call: Call & { mustTry: boolean },
  ): Promise<Installed> {
    const text = await host.readText(configPath);
    const missing = missingRunscFlags(parse(text ?? ""), node.cgroupDriver);
    if (missing.length > 0) {
      throw new RefusedError(
        `${configPath} was written by somebody else and lacks, under [runsc_config]: ${missing.join(", ")}.`,
      );
    }
    if (call.mustTry) await tryPod(node, call);
    return { restarted: false };
  }

  /** Does the work; each step that changes something leaves in `undo` how it is taken back, in that order. */
  async function change(
    node: NodeFacts,
    plan: ConfigPlan,
    undo: Undo[],
    call: Call & { mustTry: boolean },
  ): Promise<Installed> {
    const previous = await releases.current();
    const { release, folder } = await prepareRelease(node.process.pid, node.cgroupDriver, call);
    const isNew = previous !== folder;
    const isProven = !isNew && (await releases.isProven(folder));
    if (isNew) {
      undo.push(() => releases.setCurrent(previous));
      await releases.setCurrent(folder);
    }
    // A pass that was killed left the section behind before it had proof: it goes when there is none now.
    if (!isNew && !isProven && plan.kind === "unchanged")
      undo.push(
        () => removeSection(node),
        () => restart(node, call),
      );
    const restarted = plan.kind === "write" || !isLoaded(await cri.status(node.socket, call), settings);
    if (restarted) await requireRestart(host, node.process, options, call);
    if (plan.kind === "write") {
      await write(node, plan, call);
      undo.push(() => put(plan.path, node.config.targetText));
    }
    if (restarted) {
      log.info("restarting containerd", { config: plan.kind === "write" ? plan.path : node.config.path });
      if (plan.kind === "write") undo.push(() => restart(node, call));
      await restart(node, call, (status) => isLoaded(status, settings));
    }
    if (restarted || !isProven || call.mustTry) {
      try {
        await tryPod(node, call);
      } catch (error) {
        // Worked before with the same files: something passing, or a fault elsewhere on the node.
        if (isProven) undo.length = 0;
        throw error;
      }
    }
    if (!isProven) await releases.setProven(folder);
    return { release, restarted };
  }

  async function removeSection(node: NodeFacts): Promise<void> {
    for (const facts of node.targets) {
      const plan = planRemoval(facts);
      if (plan.kind === "write") await put(plan.path, plan.text);
    }
  }

  const restart = (
    node: NodeFacts,
    call: Call,
    isReady: Parameters<typeof restartContainerd>[3]["isReady"] = () => true,
  ) => restartContainerd(ports, node, options, { isReady, call });

  return {
    async install(call) {
      const node = await lookAtNode(host, options, call);
      const plan = planConfig(node.config, settings);
      if (plan.kind === "refuse") throw new RefusedError(plan.reason);
      if (plan.kind === "unchanged" && plan.foreignConfigPath !== undefined)
        return useForeign(node, plan.foreignConfigPath, call);
      const undo: Undo[] = [];
      try {
        const installed = await change(node, plan, undo, call);
        await releases.prune();
        return installed;
      } catch (error) {
        // What an end leaves half done, the next pass takes up.
        call.signal.throwIfAborted();
        await putBack(undo, error);
        if (error instanceof RefusedError) throw error;
        const rest = undo.length > 0 ? " What was changed is put back." : "";
        throw new RefusedError(`gVisor does not work on this node: ${messageOf(error)}${rest}`, error);
      }
    },

    async uninstall(call) {
      const node = await lookAtNode(host, options, call);
      const plans = node.targets.map(planRemoval);
      const refused = plans.find((plan) => plan.kind === "refuse");
      if (refused !== undefined) throw new RefusedError(refused.reason);
      const writes = plans.filter((plan) => plan.kind === "write");
      if (writes.length > 0) await requireRestart(host, node.process, options, call);
      await removeSection(node);
      if (writes.length > 0) await restart(node, call);
      await releases.setCurrent(undefined);
      await releases.prune();
    },
  };
}
