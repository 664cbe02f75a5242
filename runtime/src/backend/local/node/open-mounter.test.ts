import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentLog } from "#core/log.ts";
import { openMounter } from "./open-mounter.ts";

test("openMounter() refuses a store that cannot be a folder, and starts nothing", async () => {
  const home = await mkdtemp(join(tmpdir(), "atoll-open-mounter-"));
  try {
    const file = join(home, "file");
    await writeFile(file, "");
    const snapshots = { store: `file://${file}`, namespace: "team", cacheBytes: 0, mostTarBytes: 1, env: {} };
    const opened = openMounter(
      { homeDir: home, runDir: join(home, "run"), diskReserveBytes: 0, snapshots },
      { log: silentLog, random: Math.random },
    );
    await expect(opened).rejects.toThrow(
      `Snapshots cannot be kept in ${file}, it has to be a folder that can be written to`,
    );
  } finally {
    await rm(home, { recursive: true });
  }
});
