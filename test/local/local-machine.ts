import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "#core/clock.ts";
import { cryptoIds } from "#core/ids.ts";
import type { ContainerSpec } from "#core/sandbox.ts";
import type { LocalConfig } from "#runtime/backend/local/config.ts";
import type { Boot } from "#runtime/backend/local/machine.ts";
import { createLocalMachine } from "#runtime/backend/local/node/create-local-machine.ts";
import type { LocalMachine } from "#runtime/backend/local/node/local-machine.ts";
import type { RootRestore } from "#runtime/backend/local/root-restore.ts";
import type { Call } from "#runtime/backend/port.ts";
import { BASE_IMAGE, localConfig, stderrLog } from "./local-backend.ts";
import { sweep } from "../harness/gateway-process.ts";

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface MachineUnderTest {
  readonly machine: LocalMachine;
  readonly config: LocalConfig;
  readonly call: Call;
  /** What containers are restored from, by the snapshot's name. */
  readonly restores: Map<string, RootRestore>;
  start(container?: Partial<ContainerSpec>): Promise<Boot>;
  /** Runs a program in the first container, and gives what it wrote. */
  run(boot: Boot, ...command: string[]): string;
  /** The container's changes as a layer. */
  takeLayer(boot: Boot): { readonly path: string; readonly tarDigest: string; readonly names: readonly string[] };
  dispose(): Promise<void>;
}

/** The machine port on a home of its own, without records and without a gateway. */
export async function makeMachine(change: Partial<LocalConfig> = {}): Promise<MachineUnderTest> {
  const config = localConfig(change);
  const restores = new Map<string, RootRestore>();
  const log = stderrLog();
  const machine = await createLocalMachine(config, {
    clock: systemClock,
    ids: cryptoIds,
    log,
  });
  const runsc = join(config.homeDir, "bin/runsc");
  const root = `--root=${join(config.runDir, "runsc")}`;
  const call: Call = { signal: new AbortController().signal, log };
  const layers = join(config.homeDir, "layers");
  mkdirSync(layers);
  let taken = 0;
  const started = new Set<string>();
  return {
    machine,
    config,
    call,
    restores,
    start: async (container = {}) => {
      const containers = [{ name: "main", image: BASE_IMAGE, env: {}, ...container }];
      const restore = restores.get(container.rootfsSnapshotName ?? "");
      const spec = { containers, startupTimeoutSeconds: 60 };
      const from = { spec, restores: new Map(restore && [["main", restore]]) };
      const request = { ...from, own: async () => {}, slot: <T>(work: () => Promise<T>) => work() };
      const boot = await machine.start(request, call);
      started.add(boot.id);
      return boot;
    },
    run: (boot, ...command) =>
      execFileSync(runsc, [root, "exec", `--env=${PATH}`, `${boot.id}-000`, ...command], {
        encoding: "utf8",
        maxBuffer: 2 ** 28,
      }),
    takeLayer: (boot) => {
      const path = join(layers, `${(taken += 1)}.tar`);
      execFileSync(runsc, [root, "tar", "rootfs-upper", "--file", path, `${boot.id}-000`], { stdio: "ignore" });
      const tarDigest = `sha256:${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
      const names = execFileSync("tar", ["--list", "--quoting-style=escape", "--file", path], { encoding: "utf8" });
      return { path, tarDigest, names: names.split("\n").filter(Boolean) };
    },
    dispose: async () => {
      await Promise.all([...started].map((id) => machine.destroy(id)));
      await machine.close({ forGood: true });
      sweep(config.homeDir);
    },
  };
}
