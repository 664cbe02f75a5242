import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { checkEngine } from "./engine.ts";
import { SMALL_PARTS, startServer, type StoreServer } from "./servers.ts";

let folder = "";
let server: StoreServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "atoll-engine-store-"));
  server = await startServer("s3");
}, 60_000);
afterAll(async () => {
  await server?.end();
  await rm(folder, { recursive: true, force: true });
});

describe("snapshots in a folder", () => {
  const credentials = { kind: "none" } as const;
  checkEngine(() => ({ url: `file://${folder}`, credentials, rules: SMALL_PARTS.folder, showsUploads: true }));
});

describe("snapshots on an S3 server", () => {
  checkEngine(() => {
    const { credentials } = server;
    return { url: server.url(server.origin, "engine"), credentials, rules: SMALL_PARTS.s3, showsUploads: true };
  });
});
