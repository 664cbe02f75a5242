import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RUNTIMES } from "../../../test/harness/runtimes.ts";
import { lockFile } from "./file-lock.ts";

let folder = "";
let file = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-lock-"));
  file = join(folder, "lock");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const { signal } = new AbortController();
const now = { signal, waitSeconds: 0 };

describe("lockFile()", () => {
  it("has one holder at a time, and the next when that lets go", async () => {
    const first = await lockFile(file, now);
    expect(await lockFile(file, now)).toBeUndefined();
    const next = lockFile(file, { signal });
    await first?.release();
    await (await next)?.release();
  });

  it("leaves the queue when it is told to", async () => {
    const first = await lockFile(file, now);
    const abort = new AbortController();
    const waiting = lockFile(file, { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await first?.release();
    await (await lockFile(file, now))?.release();
  });

  it("says why a file cannot be locked", async () => {
    const nowhere = join(folder, "no/such/folder");
    await expect(lockFile(nowhere, now)).rejects.toThrow(`${nowhere} cannot be locked: flock ended with`);
  });

  it.each(Object.entries(RUNTIMES))(
    "on %s lets go when its process is killed, though what that started goes on",
    async (_, [program, ...words]) => {
      const path = join(folder, "holder.ts");
      await writeFile(
        path,
        `import { spawn } from "node:child_process";
        import { lockFile } from ${JSON.stringify(join(import.meta.dirname, "file-lock.ts"))};
        await lockFile(${JSON.stringify(file)}, { signal: new AbortController().signal });
        console.log(spawn("sleep", ["60"], { detached: true, stdio: "ignore" }).pid);
        setInterval(() => {}, 1000);`,
      );
      const holder = spawn(program, [...words, path], { stdio: ["ignore", "pipe", "inherit"] });
      const [said] = (await once(holder.stdout, "data")) as [Buffer];
      try {
        expect(await lockFile(file, now)).toBeUndefined();
        holder.kill("SIGKILL");
        const next = await lockFile(file, { signal, waitSeconds: 10 });
        expect(next).toBeDefined();
        await next?.release();
      } finally {
        process.kill(Number(said.toString()));
      }
    },
  );
});
