import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Atoll, type Sandbox } from "#sdk";
import { startGateway, type GatewayProcess } from "../harness/gateway-process.ts";

const image = "atoll/debian";
const MIB = 2 ** 20;

describe("limits of a sandbox", { timeout: 120_000 }, () => {
  let gateway: GatewayProcess;
  let client: Atoll;
  beforeAll(async () => {
    gateway = await startGateway({ env: { ATOLL_PIDS_LIMIT: "200" } });
    client = new Atoll({ url: gateway.url });
  }, 60_000);
  afterAll(() => gateway.dispose(), 60_000);

  async function sh(sandbox: Sandbox, script: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    return sandbox.commands.run(["sh", "-c", script]);
  }

  async function ended(id: string): Promise<Sandbox> {
    for (;;) {
      const sandbox = await client.sandboxes.get(id);
      if (sandbox.status !== "Running") return sandbox;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  it("memory beyond the limit fails the sandbox with that reason, and commands say so", async () => {
    const sandbox = await client.sandboxes.create({ image, memory: 96 });
    const command = await sandbox.commands.spawn([
      "python3",
      "-c",
      "x = bytearray(600 * 2**20)\nimport time; time.sleep(60)",
    ]);
    const after = await ended(sandbox.id);
    expect([after.status, after.reason]).toEqual(["Failed", "OutOfMemory"]);
    await expect(command.exitCode()).rejects.toMatchObject({ status: 409, message: expect.stringMatching(/memory/i) });
    await sandbox.delete();
  });

  it("the guest sees its own memory, and at most the processors of its limit", async () => {
    const sandbox = await client.sandboxes.create({ image, memory: 256, cpu: 1 });
    const { stdout } = await sh(sandbox, "awk '/MemTotal/ {print $2}' /proc/meminfo; nproc");
    const [memoryKiB, processors] = stdout.trim().split("\n").map(Number);
    expect(memoryKiB).toBe((256 * MIB) / 1024);
    expect(processors).toBeLessThanOrEqual(2);
    await sandbox.delete();
  });

  it("a busy loop gets no more processor time than its limit", async () => {
    const sandbox = await client.sandboxes.create({ image, cpu: 0.2 });
    const script =
      "import time\na=time.monotonic(); c=time.process_time()\nwhile time.monotonic()-a < 3: pass\nprint((time.process_time()-c)/(time.monotonic()-a))";
    const share = async (): Promise<number> => Number((await sandbox.commands.run(["python3", "-c", script])).stdout);
    // The guest's clock of processor time ticks roughly; a loop without a limit comes to 1.
    expect(await share()).toBeLessThan(0.6);
    await sandbox.delete();
  });

  it("a full disk is an error inside, harms no other sandbox, and the API goes on", async () => {
    const [full, other] = await Promise.all([
      client.sandboxes.create({ image, ephemeralStorage: 64 }),
      client.sandboxes.create({ image, ephemeralStorage: 64 }),
    ]);
    const filled = await sh(full, "head -c 200000000 /dev/zero > /root/big; echo $?; stat -c %s /root/big");
    expect(filled.stderr).toMatch(/no space left/i);
    const [code, size] = filled.stdout.trim().split("\n").map(Number);
    expect(code).not.toBe(0);
    expect(size).toBeLessThanOrEqual(64 * MIB);
    await expect(full.filesystem.write("/root/more", new Uint8Array(8 * MIB))).rejects.toMatchObject({ status: 500 });
    expect((await sh(full, "echo still here; rm /root/big")).stdout).toBe("still here\n");
    await full.filesystem.write("/root/more", new Uint8Array(8 * MIB));
    expect((await sh(other, "head -c 30000000 /dev/zero > /root/fits; echo $?")).stdout).toBe("0\n");
    await Promise.all([full.delete(), other.delete()]);
  });

  it("a fork bomb meets the task limit, and the sandbox goes on answering", async () => {
    const sandbox = await client.sandboxes.create({ image });
    const bomb =
      "import os,time\nn=0\ntry:\n  while n<5000:\n    if os.fork()==0: time.sleep(60); os._exit(0)\n    n+=1\nexcept OSError as e: print(n, e.strerror, flush=True)\nos.killpg(0, 9)";
    const { stdout, exitCode } = await sandbox.commands.run(["python3", "-c", bomb]);
    const [count = "", ...error] = stdout.trim().split(" ");
    expect(error.join(" ")).toMatch(/temporarily unavailable/i);
    expect(Number(count)).toBeLessThanOrEqual(200);
    expect(Number(count)).toBeGreaterThan(50);
    expect(exitCode).toBe(-1);
    expect((await sh(sandbox, "echo alive")).stdout).toBe("alive\n");
    await sandbox.delete();
  });

  it("a program that opens every file descriptor harms itself only", async () => {
    const sandbox = await client.sandboxes.create({ image });
    const script =
      "import os,resource\nn=0\ntry:\n  while n<3000000: os.open('/etc/passwd',0); n+=1\nexcept OSError as e: print(e.strerror, flush=True)\nimport time; time.sleep(3)";
    const hog = await sandbox.commands.spawn([
      "python3",
      "-c",
      `import resource\nresource.setrlimit(resource.RLIMIT_NOFILE,(4096,4096))\n${script}`,
    ]);
    expect((await sh(sandbox, "echo alive")).stdout).toBe("alive\n");
    expect(await hog.wait()).toBe(0);
    await sandbox.delete();
  });
});
