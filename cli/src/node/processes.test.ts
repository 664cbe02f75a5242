import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { parseStartTicks } from "../gateway/gateway-record.ts";
import { findListenObstacle, stopProcess } from "./gateway-process.ts";
import { createGatewayStore } from "./gateway-store.ts";
import { lockHome } from "./home-lock.ts";
import { runProcess } from "./run-process.ts";

let home = "";
beforeAll(async () => void (home = await mkdtemp(join(tmpdir(), "atoll-cli-"))));
afterAll(() => rm(home, { recursive: true, force: true }));

const never = new AbortController().signal;

function run(script: string, over: { budgetMs?: number; signal?: AbortSignal; onLine?: (line: string) => void } = {}) {
  const options = {
    cwd: home,
    env: { PATH: process.env["PATH"] },
    logFile: join(home, "log"),
    onLine: () => {},
    signal: never,
  };
  return runProcess({ command: ["sh", "-c", script], budgetMs: 15_000, ...options, ...over });
}

/** A zombie that nobody collects is gone, too. */
async function exists(pid: number): Promise<boolean> {
  return parseStartTicks(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")) !== undefined;
}

describe("runProcess()", () => {
  test("answers exit code and output without colours, and logs all of it", async () => {
    const ended = await run(String.raw`printf '\033[32m3 passed\033[0m\n'; echo bad >&2; exit 7`);
    expect(ended).toMatchObject({ exitCode: 7, timedOut: false });
    expect(ended.output).toContain("3 passed\n");
    expect(await readFile(join(home, "log"), "utf8")).toContain("bad\n");
  });

  test("ends the whole group at the budget", async () => {
    const ended = await run("echo $$; sleep 600 & sleep 600", { budgetMs: 200 });
    expect(ended).toMatchObject({ exitCode: undefined, timedOut: true });
    expect(await exists(Number(ended.output.trim()))).toBe(false);
  });

  test("leaves no survivor that holds the output", async () => {
    const ended = await run("sleep 600 & echo $!");
    expect(ended.exitCode).toBe(0);
    await expect.poll(() => exists(Number(ended.output.trim()))).toBe(false);
  });

  test("ends on an abort", async () => {
    const stop = new AbortController();
    const ended = await run("echo up; sleep 600", { signal: stop.signal, onLine: () => stop.abort() });
    expect(ended).toMatchObject({ exitCode: undefined, timedOut: false });
  });

  test("rejects when the program is not there", async () => {
    const missing = {
      command: ["/nonexistent/program"],
      cwd: home,
      env: {},
      budgetMs: 1000,
      logFile: join(home, "log"),
    };
    await expect(runProcess({ ...missing, onLine: () => {}, signal: never })).rejects.toThrow("ENOENT");
  });
});

describe("lockHome()", () => {
  test("makes a second taker wait until the first releases", async () => {
    const order: string[] = [];
    const first = await lockHome(home, { signal: never, onWait: () => order.push("unexpected") });
    const waits = Promise.withResolvers<void>();
    const second = lockHome(home, { signal: never, onWait: waits.resolve }).then((lock) => {
      order.push("second");
      return lock;
    });
    await waits.promise;
    order.push("release first");
    await first.release();
    await (await second).release();
    expect(order).toEqual(["release first", "second"]);
  });

  test("is free again after its holder was killed", async () => {
    const script = `import { lockHome } from ${JSON.stringify(join(import.meta.dirname, "home-lock.ts"))};
      await lockHome(${JSON.stringify(home)}, { signal: new AbortController().signal, onWait() {} });
      console.log("held"); setInterval(() => {}, 1000);`;
    await writeFile(join(home, "holder.mjs"), script);
    const holder = spawn(process.execPath, [join(home, "holder.mjs")], { stdio: ["ignore", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    holder.kill("SIGKILL");
    const lock = lockHome(home, { signal: AbortSignal.timeout(10_000), onWait: () => {} });
    await expect(lock).resolves.toBeDefined();
    await (await lock).release();
  });

  test("stops waiting on an abort", async () => {
    const first = await lockHome(home, { signal: never, onWait: () => {} });
    const stop = new AbortController();
    const second = lockHome(home, { signal: stop.signal, onWait: () => stop.abort(new Error("enough")) });
    await expect(second).rejects.toThrow("enough");
    await first.release();
  });
});

describe("createGatewayStore()", () => {
  const record = { url: "http://127.0.0.1:1", version: "0", startedAt: "2026-11-22T00:00:00.000Z", logFile: "/log" };

  test("knows a gateway while its process lives, and not after", async () => {
    const store = createGatewayStore(home);
    const child = spawn("sleep", ["600"]);
    await once(child, "spawn");
    const saved = await store.save({ ...record, pid: child.pid ?? 0 });
    expect(await store.running()).toEqual(saved);
    const ended = once(child, "exit");
    await stopProcess(saved?.pid ?? 0, async () => (await store.running()) === undefined, systemClock);
    await ended;
    expect(await store.running()).toBeUndefined();
  });

  test("records no process that has ended", async () => {
    const child = spawn("true");
    await once(child, "exit");
    expect(await createGatewayStore(home).save({ ...record, pid: child.pid ?? 0 })).toBeUndefined();
  });

  test("does not take another process with the same number for the gateway", async () => {
    const store = createGatewayStore(home);
    const saved = await store.save({ ...record, pid: process.pid });
    const file = join(home, "run/gateway.json");
    await writeFile(file, JSON.stringify({ ...saved, startTicks: (saved?.startTicks ?? 0) - 1 }));
    expect(await store.running()).toBeUndefined();
    await writeFile(file, JSON.stringify({ ...saved, bootId: "another boot" }));
    expect(await store.running()).toBeUndefined();
    await store.forget();
    expect(await store.running()).toBeUndefined();
  });
});

describe("findListenObstacle()", () => {
  test("is undefined for a free port and a sentence for a taken one", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(await findListenObstacle("127.0.0.1", port)).toBe(
      `port ${port} of 127.0.0.1 is taken by another program; choose one with --port`,
    );
    server.close();
    await once(server, "close");
    expect(await findListenObstacle("127.0.0.1", port)).toBeUndefined();
  });

  test("names an address that is not this machine's", async () => {
    expect(await findListenObstacle("192.0.2.1", 8080)).toBe("192.0.2.1 is no address of this machine");
  });
});
