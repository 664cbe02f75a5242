import { describe, expect, test } from "vitest";
import { exec, shell, type AgentPeer } from "./client.ts";

/**
 * What commands may not do, wherever the agent runs. The sandbox has three containers: `main` and
 * `side` with capabilities of which neither set holds the other, and `plain` with none, of user
 * 1000, who gains no privileges.
 */
export function isolationCases(peer: () => AgentPeer): void {
  describe("a command", () => {
    test("cannot look into the agent, its supervisor or a sibling container", async () => {
      const pids = new Map<string, number>();
      const health = (await (await peer().fetch("/v1/health")).json()) as {
        containers: { name: string; pid: number }[];
      };
      for (const { name, pid } of health.containers) pids.set(name, pid);
      const { stdout, exitCode, stderr } = await exec(peer(), ["python3", "-c", ATTACK]);
      expect([exitCode, stderr]).toEqual([0, ""]);
      const seen = stdout
        .trim()
        .split("\n")
        .map((line) => line.split(" "));
      const got = (pid: number): string | undefined => seen.find(([number]) => Number(number) === pid)?.at(-1);
      const agent = seen.find(([, name]) => name === "bun");
      expect(agent?.at(-1)).toBe("-");
      expect(seen.find(([, name]) => name === "atoll-init")?.at(-1)).toBe("-");
      expect(got(pids.get("side") ?? 0)).toBe("-");
      expect(got(pids.get("plain") ?? 0)).toBe("-");
      // Nor is the folder of the agent's socket anywhere else: nobody can put another in its place.
      expect(stdout).not.toContain("socket");
      expect((await shell(peer(), "ls -d /run/atoll; grep -c atoll /proc/self/mounts")).stdout).toBe("0\n");
    });

    test.each(["main", "side", "plain"])(
      "in %s has exactly its container's bounding set, and never SYS_PTRACE",
      async (container) => {
        const fields = "grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Uid|Gid|Groups)'";
        const health = (await (await peer().fetch("/v1/health")).json()) as {
          containers: { name: string; pid: number }[];
        };
        const pid = health.containers.find(({ name }) => name === container)?.pid;
        const own = parseFields((await shell(peer(), `${fields} /proc/self/status`, { container })).stdout);
        const target = parseFields((await shell(peer(), `${fields} /proc/${pid}/status`, { container })).stdout);
        expect(own["CapBnd"]).toBe(target["CapBnd"]);
        expect(own["NoNewPrivs"]).toBe(target["NoNewPrivs"]);
        expect([own["CapPrm"], own["CapEff"]]).toEqual([target["CapBnd"], target["CapBnd"]]);
        expect(BigInt(`0x${own["CapBnd"]}`) & (1n << 19n)).toBe(0n);
        expect([own["Uid"], own["Gid"]]).toEqual(["0\t0\t0\t0", "0\t0\t0\t0"]);
        expect(BigInt(`0x${own["CapAmb"]}`)).toBe(0n);
      },
    );

    test("has no descriptor of the agent, default signals and its container's limits", async () => {
      const { stdout } = await exec(peer(), [
        "python3",
        "-c",
        "import os; print(sorted(os.listdir('/proc/self/fd'))[:3], [os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in (0, 1, 2)], len(os.listdir('/proc/self/fd')))",
      ]);
      expect(stdout).toBe("['0', '1', '2'] ['pipe', 'pipe', 'pipe'] 4\n");
      const { stdout: ignored } = await shell(peer(), "trap - PIPE; yes | head -1");
      expect(ignored).toBe("y\n");
      const same = await shell(peer(), "ulimit -a > /tmp/mine; cat /proc/self/limits");
      expect(same.exitCode).toBe(0);
    });

    test("leads its own session and group", async () => {
      const { stdout } = await exec(peer(), [
        "python3",
        "-c",
        "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0))",
      ]);
      expect(stdout).toBe("True\n");
    });
  });

  test("orphans of every container are reaped", async () => {
    await shell(peer(), "(sh -c 'sleep 0.1' &) ; (sh -c 'true' &)");
    const { stdout } = await shell(peer(), "sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l");
    expect(stdout).toBe("0\n");
  });
}

/** Tries everything that could reach into another process, as a command in `main`; prints what was got. */
const ATTACK = `
import os, ctypes, glob
libc = ctypes.CDLL(None, use_errno=True)
own = set()
for pid in sorted(int(p) for p in os.listdir("/proc") if p.isdigit()):
    try: name = open(f"/proc/{pid}/comm").read().strip()
    except OSError: continue
    if pid in (os.getpid(), os.getppid()) and name.startswith("python"): continue
    got = []
    for what, read in {
        "environ": lambda: open(f"/proc/{pid}/environ", "rb").read(),
        "mem": lambda: open(f"/proc/{pid}/mem", "rb"),
        "root": lambda: os.listdir(f"/proc/{pid}/root/"),
        "cwd": lambda: os.listdir(f"/proc/{pid}/cwd/"),
        "fd": lambda: os.listdir(f"/proc/{pid}/fd") and [os.readlink(f) for f in glob.glob(f"/proc/{pid}/fd/*")],
        "journal": lambda: os.listdir(f"/proc/{pid}/root/var/lib/atoll/journal"),
        "socket": lambda: os.listdir(f"/proc/{pid}/root/run/atoll"),
        "exe": lambda: os.readlink(f"/proc/{pid}/exe"),
    }.items():
        try:
            if read(): got.append(what)
        except OSError: pass
    if libc.ptrace(16, pid, 0, 0) == 0: got.append("ptrace")
    print(pid, name, ",".join(got) or "-")
`;

function parseFields(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
}
