import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Atoll } from "#sdk";
import { freePort } from "../harness/free-ports.ts";
import { networkOf, runDirOf } from "../harness/gateway-process.ts";
import { leftOvers } from "./left-overs.ts";

const REPO = resolve(import.meta.dirname, "../..");
const INSTALLED = process.env["ATOLL_HOME"] ?? "/var/lib/atoll";
const image = "atoll/debian";

interface Told {
  readonly event?: string;
  readonly state?: string;
  readonly step?: string;
  readonly message?: string;
  readonly pid?: number;
  readonly sandboxesRemoved?: number;
}

/** What a run of `./atoll` told, line by line, and how it ended. */
interface Ended {
  readonly code: number | null;
  readonly told: readonly Told[];
  readonly stderr: string;
}

describe("./atoll up and down", { timeout: 120_000 }, () => {
  let home = "";
  let port = 0;

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), "atoll-home-"));
    for (const name of ["bin", "agent", "images", "setup"])
      execFileSync("cp", ["-al", join(INSTALLED, name), join(home, name)]);
    // Written in place by the set-up: a hard link would change the installed one.
    const stamp = join(home, "agent/inputs.sha256");
    rmSync(stamp);
    copyFileSync(join(INSTALLED, "agent/inputs.sha256"), stamp);
    port = await freePort();
  });
  afterEach(async () => {
    const { code, stderr } = await atoll(["down"]);
    const left = leftOvers({ home, network: networkOf(home).ATOLL_NETWORK_NAME });
    rmSync(home, { recursive: true, force: true });
    rmSync(runDirOf(home), { recursive: true, force: true });
    if (code !== 0 || left.length > 0)
      throw new Error(`Left behind by down (${code}): ${[stderr, ...left].join("\n")}`);
  }, 60_000);

  async function atoll(
    words: readonly string[],
    {
      env = {},
      onTold = () => undefined,
    }: { env?: Record<string, string>; onTold?: (told: Told, pid: number) => void } = {},
  ): Promise<Ended> {
    const child = spawn(join(REPO, "atoll"), [...words, "--home", home, "--json"], {
      env: {
        PATH: process.env["PATH"],
        ATOLL_RUN_DIR: runDirOf(home),
        ATOLL_POOL_SIZE: "1",
        ATOLL_LISTEN: `127.0.0.1:${port}`,
        ...networkOf(home),
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const told: Told[] = [];
    const stderr: Buffer[] = [];
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const one = JSON.parse(line) as Told;
      told.push(one);
      onTold(one, child.pid ?? 0);
    });
    const [code] = (await once(child, "close")) as [number | null];
    return { code, told, stderr: Buffer.concat(stderr).toString() };
  }

  const client = (): Atoll => new Atoll({ url: `http://127.0.0.1:${port}`, maxRetries: 0 });
  const gatewayPid = (): number =>
    (JSON.parse(readFileSync(join(home, "run/gateway.json"), "utf8")) as { pid: number }).pid;

  it("a gateway that was killed: down removes the sandboxes that it left", async () => {
    expect((await atoll(["up", "--detach", "--no-first"])).code).toBe(0);
    const sandbox = await client().sandboxes.create({ image });
    expect((await sandbox.commands.run(["echo", "here"])).stdout).toBe("here\n");
    process.kill(gatewayPid(), "SIGKILL");
    const { code, told } = await atoll(["down"]);
    expect([code, told.at(-1)]).toEqual([0, { event: "down", sandboxesRemoved: 1, sandboxesKept: 0 }]);
    expect((await atoll(["down"])).told).toEqual([{ event: "not-up" }]);
  });

  it("sandboxes that are being created while down runs go too", async () => {
    expect((await atoll(["up", "--detach", "--no-first"])).code).toBe(0);
    const one = await client().sandboxes.create({ image });
    const creating = Array.from({ length: 4 }, () =>
      client()
        .sandboxes.create({ image })
        .then(
          () => undefined,
          () => undefined,
        ),
    );
    await expect.poll(async () => (await client().sandboxes.list()).length, { interval: 5 }).toBeGreaterThan(1);
    const { code, told } = await atoll(["down"]);
    expect([code, told.at(-1)?.event]).toEqual([0, "down"]);
    expect(told.at(-1)?.sandboxesRemoved).toBeGreaterThan(1);
    await Promise.all(creating);
    await expect(one.commands.run(["true"])).rejects.toThrow();
  });

  it("two at once bring up one gateway", async () => {
    const both = await Promise.all([atoll(["up", "--detach", "--no-first"]), atoll(["up", "--detach", "--no-first"])]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both.filter(({ told }) => told.some(({ event }) => event === "already-up"))).toHaveLength(1);
    const started = both.flatMap(({ told }) =>
      told.filter(({ event }) => event === "started" || event === "already-up"),
    );
    expect(new Set(started.map(({ pid }) => pid)).size).toBe(1);
  });

  it("up that is killed as its gateway starts: the next one finds that gateway", async () => {
    let pid: number | undefined;
    await atoll(["up", "--detach", "--no-first"], {
      onTold: (told, self) => {
        if (told.event !== "started") return;
        ({ pid } = told);
        process.kill(self, "SIGKILL");
      },
    });
    const again = await atoll(["up", "--detach", "--no-first"]);
    expect([again.code, again.told.at(-1)?.event, again.told.at(-1)?.pid]).toEqual([0, "already-up", pid]);
    await expect
      .poll(
        () =>
          client()
            .sandboxes.list()
            .catch(() => undefined),
        { timeout: 20_000 },
      )
      .toEqual([]);
  });

  it("up that is killed in the middle of its set-up: the next one sets up the rest", async () => {
    rmSync(join(home, "agent/inputs.sha256"));
    await atoll(["up", "--detach", "--no-first"], {
      onTold: (told, self) => {
        if (told.step === "agent-image" && told.state === "progress") process.kill(self, "SIGKILL");
      },
    });
    expect(existsSync(join(home, "agent/inputs.sha256"))).toBe(false);
    const { code, told } = await atoll(["up", "--detach", "--no-first"]);
    expect([code, told.at(-1)?.event]).toEqual([0, "usage"]);
    expect(told.find(({ step, state }) => step === "agent-image" && state === "done")).toBeDefined();
    const sandbox = await client().sandboxes.create({ image });
    expect((await sandbox.commands.run(["echo", "well"])).stdout).toBe("well\n");
  });

  it("a taken port is named, and nothing is started", async () => {
    const other = createServer().listen(port, "127.0.0.1");
    await once(other, "listening");
    const { code, stderr } = await atoll(["up", "--detach", "--no-first"]);
    other.close();
    expect([code, stderr]).toEqual([
      1,
      `atoll: port ${port} of 127.0.0.1 is taken by another program; choose one with --port\n`,
    ]);
    expect(existsSync(join(home, "run/gateway.json"))).toBe(false);
  });

  it("a gateway that ends at once: up says why", async () => {
    const { code, stderr } = await atoll(["up", "--detach", "--no-first"], {
      env: { ATOLL_NETWORK_POOL: "10.0.0.0/99" },
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^atoll: the gateway ended \(exit code 1\): .*10\.0\.0\.0\/99.*; its log is .*gateway\.log\n$/,
    );
  });
});
