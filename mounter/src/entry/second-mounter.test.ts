import { spawn } from "node:child_process";
import { access, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "vitest";
import { freePort } from "../../../test/harness/free-ports.ts";
import { until } from "../../../test/harness/until.ts";

const START = { timeoutMs: 30_000 };

interface Started {
  said(): string;
  /** Exit code or signal; undefined while it runs. */
  ending(): string | undefined;
  kill(): Promise<void>;
  /** Resolves when it answers. */
  answers(): Promise<unknown>;
}

/** Starts one of the two programs over folders of its own; each process answers somewhere else. */
async function prepare(program: "local" | "main", { onTestFinished }: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), "atoll-second-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  let count = 0;
  const start = async (): Promise<Started> => {
    const socket = join(dir, `mounter-${(count += 1)}.sock`);
    const env = {
      PATH: process.env["PATH"],
      ATOLL_SNAPSHOT_STORE: `file://${dir}/store`,
      ATOLL_MOUNTER_DIR: join(dir, "mounter"),
      ATOLL_DISK_RESERVE_BYTES: "0",
      ATOLL_MOUNTER_SOCKET: socket,
      ATOLL_RESTORE_FOLDER: join(dir, "restores"),
      ATOLL_RESTORE_PORT: String(await freePort()),
      ATOLL_NODE_NAME: "one",
      ATOLL_POD_NAME: "mounter",
      // Nobody answers there: what a mounter does to its folders comes before.
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: "1",
    };
    const child = spawn(process.execPath, [join(import.meta.dirname, `${program}.ts`)], { env, stdio: "pipe" });
    let [said, ending] = ["", undefined as string | undefined];
    child.stderr.on("data", (chunk: Buffer) => void (said += chunk.toString()));
    const ended = new Promise<void>((resolve) => {
      child.once("close", (code, signal) => {
        ending = signal ?? String(code);
        resolve();
      });
    });
    const kill = (): Promise<void> => {
      child.kill("SIGKILL");
      return ended;
    };
    onTestFinished(kill);
    const isUp = program === "main" ? async () => said.includes("The mounter runs") : () => exists(socket);
    return { said: () => said, ending: () => ending, kill, answers: () => until(isUp, Boolean, START) };
  };
  return { dir, start };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

const ON_THEIR_WAY = {
  local: ["mounter/staging/place-theirs/layer.tar"],
  main: [
    "mounter/staging/place-theirs/pages.img",
    "restores/.staging/place-theirs/0.tar",
    "restores/.archives/team/theirs.tar",
  ],
} as const;

describe("a second mounter over the same folders", { timeout: 60_000 }, () => {
  test.concurrent.for(["local", "main"] as const)(
    "(%s) ends with a word and removes nothing; one that comes after a kill cleans up",
    async (program, context) => {
      const { expect } = context;
      const { dir, start } = await prepare(program, context);
      const first = await start();
      await first.answers();
      const paths = ON_THEIR_WAY[program].map((path) => join(dir, path));
      for (const path of paths) {
        await mkdir(join(path, ".."), { recursive: true });
        await writeFile(path, "on its way");
      }
      const second = await start();
      await until(async () => second.ending(), Boolean, START);
      expect(second.ending()).toBe("1");
      expect(second.said()).toContain(`Another mounter works in ${dir}/mounter; it has to end first`);
      expect([first.ending(), await Promise.all(paths.map(exists))]).toEqual([undefined, paths.map(() => true)]);
      await first.kill();
      await (await start()).answers();
      expect(await Promise.all(paths.map(exists))).toEqual(paths.map(() => false));
    },
  );
});
