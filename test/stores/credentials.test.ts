import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CredentialValues, StoreCredentials } from "#mounter/storage/store-credentials.ts";
import { openTestStore, startServer, type ServerKind, type StoreServer } from "./servers.ts";

const call = { signal: new AbortController().signal };

describe.each<ServerKind>(["s3", "azure"])("credentials of %s", (kind) => {
  let server: StoreServer;
  let folder = "";
  beforeAll(async () => {
    server = await startServer(kind);
    folder = await mkdtemp(join(tmpdir(), "atoll-credentials-"));
  }, 60_000);
  afterAll(async () => {
    await server?.end();
    await rm(folder, { recursive: true, force: true });
  });

  const write = async (credentials: StoreCredentials): Promise<unknown> => {
    const store = await openTestStore(server.url(server.origin, "c"), { credentials });
    try {
      return await store.put("x", new Uint8Array(3), { kind: "always" }, call);
    } finally {
      store.close();
    }
  };
  const valuesOf = ({ credentials }: StoreServer): CredentialValues =>
    credentials.kind === "inline" ? credentials.values : {};

  test("are read from the files of a mounted secret", async () => {
    const files: StoreCredentials = { kind: "files", folder };
    const missing = { kind: "denied", message: expect.stringMatching(/_KEY.* needed as files in /) };
    await expect(write(files)).rejects.toMatchObject(missing);
    for (const [name, value] of Object.entries(valuesOf(server)))
      await writeFile(join(folder, name), `${value ?? ""}\n`);
    expect(await write(files)).toMatchObject({ sizeBytes: 3 });
  });

  test("that are wrong, or nobody's, are denied and not told", async () => {
    const wrong = Object.fromEntries(Object.keys(valuesOf(server)).map((name) => [name, "d3JvbmcK"]));
    const refusal = { kind: "denied", message: expect.not.stringContaining("d3Jvbmc") };
    await expect(write({ kind: "inline", values: wrong })).rejects.toMatchObject(refusal);
    const byServer = { kind: "denied", message: expect.stringMatching(/, 40[13]\)\.$/) };
    await expect(write({ kind: "none" })).rejects.toMatchObject(byServer);
  });
});
