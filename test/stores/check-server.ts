import { afterAll, beforeAll, describe } from "vitest";
import type { ObjectStore } from "#mounter/storage/port.ts";
import { checkStore } from "./conformance.ts";
import { checkFaults } from "./faults.ts";
import { checkKilled } from "./killed.ts";
import { openTestStore, SMALL_PARTS, startServer, type ServerKind, type StoreServer } from "./servers.ts";

/** All that is asked of a store on a server. */
export function checkServer(kind: ServerKind): void {
  const rules = SMALL_PARTS[kind];
  let server: StoreServer;
  let store: ObjectStore;
  beforeAll(async () => {
    server = await startServer(kind);
    store = await openTestStore(server.url(server.origin, "a/b"), { credentials: server.credentials, rules });
  }, 60_000);
  afterAll(async () => {
    store?.close();
    await server?.end();
  });
  const showsUploads = kind === "s3";
  describe(`${kind} store`, () => {
    checkStore(() => ({ store, partBytes: rules.partBytes ?? 0, showsUploads }));
  });
  describe(`${kind} store behind faults`, () => {
    checkFaults(kind, () => server);
  });
  describe(`${kind} store whose client is killed`, () => {
    checkKilled(() => {
      const { credentials } = server;
      return { url: server.url(server.origin, "killed"), credentials, rules, showsUploads };
    });
  });
}
