import { expect, test } from "vitest";
import type { Installed } from "./installer.ts";
import { keepInstalled, uninstallOnce } from "./keep-installed.ts";
import { RefusedError } from "./refused-error.ts";
import { silentLog } from "#core/log.ts";

const CHECK_MS = 300_000;

/** Passes with these outcomes; stops after the last. Tells what was done and how long each pause was. */
async function run(outcomes: readonly (Installed | Error)[], options: { readonly tellFails?: boolean } = {}) {
  const stop = new AbortController();
  const done: unknown[] = [];
  const left = [...outcomes];
  const installer = {
    async install({ mustTry }: { readonly mustTry: boolean }) {
      const outcome = left.shift();
      done.push(mustTry ? "try" : "look");
      if (outcome instanceof Error || outcome === undefined) throw outcome ?? new Error("none left");
      return outcome;
    },
    uninstall: () => Promise.reject(new Error("not asked for")),
  };
  const report = {
    async works(release: string) {
      done.push(release);
    },
    async fails(reason: string) {
      if (options.tellFails === true) throw new Error("no API server");
      done.push(reason);
    },
    removed: () => Promise.reject(new Error("not asked for")),
  };
  const clock = {
    now: () => 0,
    async sleep(ms: number) {
      done.push(ms);
      if (left.length === 0) stop.abort();
      stop.signal.throwIfAborted();
    },
  };
  const onState = (fault: string | undefined): void => void done.push({ fault });
  await expect(
    keepInstalled({ installer, report, clock, log: silentLog, checkMs: CHECK_MS, onState }, stop.signal),
  ).rejects.toThrow("aborted");
  return done;
}

test("keepInstalled proves it once and then only looks", async () => {
  expect(
    await run([
      { release: "r1", restarted: true },
      { release: "r1", restarted: false },
    ]),
  ).toEqual(["try", "r1", { fault: undefined }, CHECK_MS, "look", "r1", { fault: undefined }, CHECK_MS]);
});

test("keepInstalled looks soon after a passing fault and seldom after refusals, and proves it anew", async () => {
  const passing = new Error("gone");
  const refused = new RefusedError("no");
  expect(await run([passing, passing, { restarted: false }, refused, refused])).toEqual([
    "try",
    { fault: "gone" },
    "gone",
    15_000,
    "try",
    { fault: "gone" },
    "gone",
    30_000,
    "try",
    "of its own",
    { fault: undefined },
    CHECK_MS,
    "look",
    { fault: "no" },
    "no",
    CHECK_MS,
    "try",
    { fault: "no" },
    "no",
    2 * CHECK_MS,
  ]);
});

test("keepInstalled goes on when the cluster cannot be told", async () => {
  expect(await run([new Error("gone")], { tellFails: true })).toEqual(["try", { fault: "gone" }, 15_000]);
});

test("uninstallOnce takes the label away first and tries until it is done", async () => {
  const done: string[] = [];
  let attempts = 0;
  await uninstallOnce(
    {
      installer: {
        install: () => Promise.reject(new Error("not asked for")),
        async uninstall() {
          done.push("uninstall");
          attempts += 1;
          if (attempts === 1) throw new Error("busy");
        },
      },
      report: {
        works: () => Promise.reject(new Error("not asked for")),
        async fails(reason) {
          done.push(reason);
        },
        async removed() {
          done.push("unlabel");
        },
      },
      clock: { now: () => 0, sleep: async (ms) => void done.push(`${ms}`) },
      log: silentLog,
      checkMs: CHECK_MS,
      onState: () => undefined,
    },
    new AbortController().signal,
  );
  expect(done).toEqual(["unlabel", "uninstall", "busy", "15000", "unlabel", "uninstall"]);
});
