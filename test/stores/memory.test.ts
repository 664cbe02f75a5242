import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { startChild, type Place } from "./killed.ts";
import { startServer, type ServerKind } from "./servers.ts";

const SIZE = 300 << 20;
/** Parts under way and the one that fills, twice: until old buffers are collected. */
const MOST_GROWN = 128 << 20;

async function checkBothWays(place: Omit<Place, "showsUploads" | "rules">): Promise<void> {
  const child = startChild({ kind: "both-ways", key: "big", sizeBytes: SIZE, rules: {}, ...place });
  const [said] = await Promise.all([text(child.stdout), once(child, "exit")]);
  const { isSame, gotBytes, grownBytes } = JSON.parse(said) as Record<string, unknown>;
  console.log(`grown by ${Math.round(Number(grownBytes) / (1 << 20))} MiB`);
  expect({ isSame, gotBytes }).toEqual({ isSame: true, gotBytes: SIZE });
  expect(grownBytes).toBeLessThan(MOST_GROWN);
}

describe("memory", () => {
  test.each<ServerKind>(["s3", "gcs", "azure"])(
    "stays bounded while 300 MiB pass: %s",
    async (kind) => {
      const server = await startServer(kind);
      try {
        await checkBothWays({ url: server.url(server.origin, "m"), credentials: server.credentials });
      } finally {
        await server.end();
      }
    },
    90_000,
  );

  test("stays bounded while 300 MiB pass: folder", async () => {
    const folder = await mkdtemp(join(tmpdir(), "atoll-memory-"));
    try {
      await checkBothWays({ url: `file://${folder}`, credentials: { kind: "none" } });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 60_000);
});

describe("openStore()", () => {
  test("of a folder loads the library of no other store", () => {
    const program = `
      import { registerHooks } from "node:module";
      const seen = [];
      registerHooks({ resolve(name, context, next) { seen.push(name); return next(name, context); } });
      const { openStore } = await import("#mounter/storage/node/open-store.ts");
      const clock = { now: Date.now, sleep: async () => undefined };
      const options = { clock, random: Math.random, newMark: () => "m", credentials: { kind: "none" } };
      (await openStore("file:///tmp", options)).close();
      const ours = seen.filter((name) => /aws|azure|google/.test(name));
      await openStore("s3://bucket?region=eu-west-1", options);
      console.log(JSON.stringify([ours, seen.includes("@aws-sdk/client-s3")]));
    `;
    const ran = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", program], {
      cwd: join(import.meta.dirname, "../.."),
      encoding: "utf8",
    });
    expect([ran.stderr, JSON.parse(ran.stdout || "null")]).toEqual(["", [[], true]]);
  });
});
