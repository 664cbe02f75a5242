import { expect, test } from "vitest";
import type { Host } from "./ports.ts";
import { requireRestart, restartContainerd } from "./restart-containerd.ts";
import { systemClock } from "#core/clock.ts";

const call = { signal: new AbortController().signal };
const base = { args: ["containerd"], cwd: "/", program: "/usr/bin/containerd" };

/** A node on which systemd runs units with these main processes. */
function systemd(mainPids: Readonly<Record<string, number>>, restarted: string[] = []): Host {
  const refuse = () => Promise.reject(new Error("not asked for"));
  let pid = 500;
  return {
    readText: refuse,
    writeText: refuse,
    removeFile: refuse,
    ownSocket: refuse,
    terminate: refuse,
    async run(_, [program, verb, ...rest]) {
      expect(program).toBe("systemctl");
      const unit = rest.at(-1) ?? "";
      if (verb === "show") return `${mainPids[unit] ?? 0}\n`;
      restarted.push(`${verb} ${unit}`);
      pid += 1;
      return "";
    },
    containerds: async () => [{ ...base, pid, parentPid: 400, cgroup: "0::/system.slice/k3s.service\n" }],
  };
}

test.each([
  ["its own unit", "0::/system.slice/containerd.service\n", { "containerd.service": 500 }, true],
  ["that of its parent, as k3s and RKE2 have it", "0::/system.slice/k3s.service\n", { "k3s.service": 400 }, true],
  ["a unit that only holds the shell it came from", "0::/system.slice/ssh.service\n", { "ssh.service": 77 }, false],
  ["no unit", "0::/\n", {}, false],
])("requireRestart goes by %s", async (_, cgroup, units, can) => {
  const asked = requireRestart(
    systemd(units),
    { ...base, pid: 500, parentPid: 400, cgroup },
    { restart: "auto" },
    call,
  );
  if (can) await asked;
  else await expect(asked).rejects.toThrow("ATOLL_CONTAINERD_RESTART=signal");
});

test("restartContainerd restarts the unit that started containerd, and waits for another process that answers", async () => {
  const restarted: string[] = [];
  const host = systemd({ "k3s.service": 400 }, restarted);
  const answers = [false, true];
  const cri = {
    status: async () => ({ isNetworkReady: answers.shift() ?? true, runtimes: {} }),
    tryPod: () => Promise.reject(new Error("not asked for")),
  };
  const [process] = await host.containerds();
  if (process === undefined) throw new Error("No process");
  const clock = { ...systemClock, sleep: async () => undefined };
  const options = { restart: "auto", restartTimeoutMs: 1000, clock } as const;
  await restartContainerd({ host, cri }, { process, socket: "/s" }, options, {
    isReady: (status) => status.isNetworkReady,
    call,
  });
  expect([restarted, answers]).toEqual([["restart k3s.service"], []]);
});
