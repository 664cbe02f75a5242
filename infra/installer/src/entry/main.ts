import { randomUUID } from "node:crypto";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createInstaller } from "../installer.ts";
import { keepInstalled, uninstallOnce } from "../keep-installed.ts";
import { INSTALLER_PATHS, InstallerEnvironment } from "../manifest.ts";
import { createCri } from "../node/cri-client.ts";
import { createHost } from "../node/host.ts";
import { podAccount } from "../node/pod-account.ts";
import { createReleaseStore } from "../node/release-store.ts";
import { createNodeReport } from "../node-report.ts";
import { parseEnvironment } from "#api/environment.ts";
import { systemClock } from "#core/clock.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import { createKubeFetch } from "#core/kubernetes/node/kube-fetch.ts";
import { createLog } from "#core/log.ts";
import { serveStatus } from "#core/node/serve-status.ts";

/** Beside this program in its image. */
const beside = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

async function main(): Promise<void> {
  const env = parseEnvironment(InstallerEnvironment, process.env);
  const log = createLog(env.ATOLL_LOG_LEVEL, (line) => void process.stdout.write(`${line}\n`), Date.now);
  const clock = systemClock;
  const root = env.ATOLL_HOST_ROOT;
  const ports = {
    host: createHost({ root, enterHost: beside("enter-host") }),
    releases: createReleaseStore({ root, gvisorDir: env.ATOLL_GVISOR_DIR, sourceDir: beside("gvisor") }),
    cri: createCri(root),
    log,
  };
  const installer = createInstaller(ports, {
    clock,
    handler: env.ATOLL_RUNTIME_HANDLER,
    gvisorDir: env.ATOLL_GVISOR_DIR,
    restart: env.ATOLL_CONTAINERD_RESTART,
    restartTimeoutMs: env.ATOLL_RESTART_TIMEOUT_SECONDS * 1000,
    networkTimeoutMs: env.ATOLL_NETWORK_TIMEOUT_SECONDS * 1000,
    ...(env.ATOLL_CONTAINERD_CONFIG === undefined ? {} : { configPath: env.ATOLL_CONTAINERD_CONFIG }),
    ...(env.ATOLL_CONTAINERD_SOCKET === undefined ? {} : { socket: env.ATOLL_CONTAINERD_SOCKET }),
    ...(env.ATOLL_CGROUP_DRIVER === "auto" ? {} : { cgroupDriver: env.ATOLL_CGROUP_DRIVER }),
  });
  const fetch = createKubeFetch(podAccount(process.env), { userAgent: "atoll-installer" });
  const report = createNodeReport(createKubeClient(fetch), { nodeName: env.ATOLL_NODE_NAME, clock, newId: randomUUID });

  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  let fault: string | undefined = "It has not looked at the node yet.";
  const health = await serveStatus(env.ATOLL_HEALTH_LISTEN, {
    [INSTALLER_PATHS.live]: () => ({ status: 200, text: "ok\n" }),
    [INSTALLER_PATHS.ready]: () =>
      fault === undefined ? { status: 200, text: "ok\n" } : { status: 503, text: `${fault}\n` },
  });
  const onState = (now: string | undefined): void => void (fault = now);
  const keep = { installer, report, clock, log, checkMs: env.ATOLL_CHECK_SECONDS * 1000, onState };
  try {
    if (env.ATOLL_INSTALLER_MODE === "install") await keepInstalled(keep, stop.signal);
    await uninstallOnce(keep, stop.signal);
    // A DaemonSet starts again what ends: idle until it is removed.
    if (!stop.signal.aborted) await once(stop.signal, "abort");
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    await health.close();
  }
}

await main().catch((error: unknown) => {
  process.stderr.write(`atoll-installer: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
