import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { claimHome } from "./home-claim.ts";

it("claimHome() refuses a home in which another one works, and gives it to the next", async () => {
  const folder = await mkdtemp(join(tmpdir(), "atoll-claim-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const home = join(folder, "new/home");
  const first = await claimHome(home);
  await expect(claimHome(home, 0)).rejects.toThrow(`Another gateway works in ${home}; it has to end first`);
  const waiting = claimHome(home);
  await first.release();
  await (await waiting).release();
});
