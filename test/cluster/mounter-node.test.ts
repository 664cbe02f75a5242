import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { RESTORE_FOLDER, RESTORE_PORT, SANDBOX_NAMESPACE } from "#core/kubernetes/names.ts";
import { Atoll, type Sandbox } from "#sdk";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { startSnapshotStore, type SnapshotStore } from "../harness/snapshot-store.ts";
import { openTestbed, type Testbed } from "../harness/testbed.ts";
import { until } from "../harness/until.ts";

const TEST_MS = 180_000;
const LISTENS = "0A";
const MOUNTER = "^/bin/node /opt/atoll/mounter.js";

let testbed: Testbed;
let api: Atoll;
let store: SnapshotStore;
const made: Sandbox[] = [];

beforeAll(async () => {
  testbed = await openTestbed();
  store = await startSnapshotStore();
  api = new Atoll({ url: inject("gatewayUrl") });
}, TEST_MS);
afterAll(async () => {
  await Promise.all(made.map((sandbox) => sandbox.delete()));
  await store.end();
}, TEST_MS);

async function create(settings: { readonly rootfsSnapshotName?: string } = {}): Promise<Sandbox> {
  const sandbox = await api.sandboxes.create({ image: TEST_IMAGE, ...settings });
  made.push(sandbox);
  return sandbox;
}

const onNode = (script: string): string => testbed.onNode(["sh", "-c", script]).trim();
const mounterPid = (): string => onNode(`pgrep -f "${MOUNTER}" | head -n 1`);

describe("the mounter on its node", { timeout: TEST_MS }, () => {
  test("is root without a capability and without the way to one", () => {
    const status = onNode(`cat /proc/${mounterPid()}/status`);
    const of = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
    expect(of("Uid")).toMatch(/^0\s/);
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) expect(of(set), set).toMatch(/^0+$/);
    expect([of("NoNewPrivs"), of("Seccomp")]).toEqual(["1", "2"]);
  });

  test("shares the node's network and none of its other namespaces", () => {
    const pid = mounterPid();
    const namespaceOf = (process: string, kind: string): string => onNode(`readlink /proc/${process}/ns/${kind}`);
    expect(namespaceOf(pid, "net")).toBe(namespaceOf("1", "net"));
    for (const kind of ["pid", "mnt", "ipc"]) expect(namespaceOf(pid, kind), kind).not.toBe(namespaceOf("1", kind));
  });

  test("is asked on the loopback address alone", () => {
    const port = RESTORE_PORT.toString(16).toUpperCase().padStart(4, "0");
    const sockets = onNode("cat /proc/net/tcp /proc/net/tcp6")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = "", , state]) => local.endsWith(`:${port}`) && state === LISTENS)
      .map(([, local]) => local);
    expect(sockets).toEqual([`0100007F:${port}`]);
  });

  test("leaves no archive where a sandbox has started, and none of a sandbox that is gone", async () => {
    const name = `s${randomBytes(8).toString("hex")}`;
    const source = await create();
    await source.commands.run(["sh", "-c", "echo kept >/srv/kept"]);
    expect(await source.snapshot({ snapshotName: name })).toMatchObject({ status: "Succeeded" });
    const restored = await create({ rootfsSnapshotName: name });
    const { stdout } = await restored.commands.run(["cat", "/srv/kept"]);
    expect(stdout).toBe("kept\n");
    const waiting = await api.sandboxes.create(
      { image: TEST_IMAGE, rootfsSnapshotName: `${name}-never` },
      { maxWaitMs: 0 },
    );
    await waiting.delete();
    await until(
      async () => onNode(`find ${RESTORE_FOLDER}/${SANDBOX_NAMESPACE} -name "*.tar" 2>/dev/null || true`),
      (left) => left === "",
      { timeoutMs: 60_000 },
    );
    expect(onNode(`stat -c %a:%u ${RESTORE_FOLDER}/.archives ${RESTORE_FOLDER}/.staging`)).toBe("700:0\n700:0");
  });
});
