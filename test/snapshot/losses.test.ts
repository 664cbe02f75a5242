import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findLosses } from "#core/node/find-losses.ts";
import { bareRunsc } from "./bare-runsc.ts";
import { startSnapshotLab, type SnapshotLab } from "./lab.ts";

const SOURCE = join(import.meta.dirname, "../../sidecar/native/atoll-losses.c");

let lab: SnapshotLab;
let runsc: string;
let program: string;

beforeAll(async () => {
  lab = await startSnapshotLab();
  runsc = await bareRunsc(lab.directory);
  program = join(lab.agentDirectory, "atoll-losses");
  await promisify(execFile)("cc", ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", program, SOURCE]);
}, 60_000);
afterAll(() => lab?.[Symbol.asyncDispose]());

/** As the mounter asks: without a capability, and out of sight of the sandbox's processes. */
async function lossesOf(containerName: string) {
  const { warnings, root } = await findLosses({
    runsc: { path: runsc, rootDir: join(lab.directory, "state") },
    agent: { containerId: lab.agentId, program },
    containerName,
    timeoutMs: 30_000,
    signal: new AbortController().signal,
  });
  return { root, found: warnings.map(({ code, count, examples }) => [code, count, examples.toSorted()]) };
}

async function python(name: string, ...lines: readonly string[]): Promise<void> {
  const script = ["import os, socket, struct", "bind = lambda p: socket.socket(socket.AF_UNIX).bind(p)", ...lines];
  await lab.exec(name, "python3", "-c", script.join("\n"));
}

/** A file capability of the form that gVisor takes: revision 2, or 3 with the root of a user namespace. */
const capability = (path: string, number: number, root = 0): string =>
  `open(${path}, "w").close(); os.setxattr(${path}, "security.capability", struct.pack("<${root === 0 ? "5I" : "6I"}", 0x0${root === 0 ? 2 : 3}000001, 1 << ${number}, 0, 0, 0${root === 0 ? "" : `, ${root}`}))`;

describe("findLosses()", () => {
  test("finds each kind of loss in what the container has changed, and none in its image and mounts", async () => {
    await lab.add("each", undefined, "shared");
    await python(
      "each",
      "os.makedirs('/srv/a/b')",
      "bind('/srv/a/b/socket'); os.link('/srv/a/b/socket', '/srv/linked')",
      "bind('/usr/share/doc/bash/so\\nck')",
      "bind('/tmp/elsewhere'); bind('/dev/shm-socket')",
      "for name in ('empty', 'bytes', 'key', 'text'): open('/srv/' + name, 'w').close()",
      "os.setxattr('/srv/empty', 'user.empty', b'')",
      "os.setxattr('/srv/bytes', 'user.bytes', b'\\xc0\\x80'); os.setxattr('/srv/bytes', 'user.more', b'\\xed\\xa0\\x80')",
      "os.setxattr('/srv/key', 'user.a=b', b'value')",
      "os.setxattr('/srv/a', 'user.folder', b'')",
      "os.setxattr('/etc/profile', 'user.image', b'\\xff')",
      "os.setxattr('/srv/text', 'user.text', 'a\\0b\\nü😀'.encode())",
      capability("'/srv/kept-capability'", 10),
      capability("'/srv/capability'", 7),
      capability("'/srv/capability-3'", 10, 200),
      "os.chmod('/', 0o751); os.chown('/', 5, 6)",
    );
    expect(await lossesOf("each")).toEqual({
      root: { mode: 0o751, uid: 5, gid: 6 },
      found: [
        ["SocketsLeftOut", 3, ["/srv/a/b/socket", "/srv/linked", "/usr/share/doc/bash/so\\x0ack"]],
        ["AttributesLeftOut", 5, ["/etc/profile", "/srv/a", "/srv/bytes", "/srv/empty", "/srv/key"]],
        ["CapabilitiesLeftOut", 2, ["/srv/capability", "/srv/capability-3"]],
      ],
    });
  }, 60_000);

  test("finds in whatever a file system can hold exactly what a restore lacks", async () => {
    await lab.add("nasty", undefined, "shared");
    await lab.python("nasty", "nasty-tree.py");
    const { found, root } = await lossesOf("nasty");
    expect(root).toEqual({ mode: 0o755, uid: 0, gid: 0 });
    expect(found).toEqual([
      ["SocketsLeftOut", 1, ["/t/socket"]],
      ["AttributesLeftOut", 1, ["/t/xattr-lost"]],
    ]);
  }, 60_000);

  test("finds nothing in a container of which all is kept", async () => {
    await lab.add("clean", undefined, "shared");
    await lab.exec(
      "clean",
      "sh",
      "-c",
      "mkdir -p /srv/a/b; echo x >/srv/a/b/c; chmod -R g+w /etc; rm -r /usr/share/doc",
    );
    expect(await lossesOf("clean")).toEqual({ root: { mode: 0o755, uid: 0, gid: 0 }, found: [] });
  }, 60_000);

  test("finds losses in folders that came from a snapshot themselves", async () => {
    await lab.exec("clean", "sh", "-c", "mkdir -p /srv/old/deep; touch -d @1 /srv/old /srv/old/deep");
    const layer = join(lab.directory, "clean.tar");
    await lab.tar("clean", layer);
    await lab.add("restored", layer, "shared");
    expect((await lossesOf("restored")).found).toEqual([]);
    await python("restored", "bind('/srv/old/deep/socket')", "bind('/srv/a/b/socket')");
    const sockets = ["/srv/a/b/socket", "/srv/old/deep/socket"];
    expect((await lossesOf("restored")).found).toEqual([["SocketsLeftOut", 2, sockets]]);
  }, 60_000);

  test("counts many and names a few", async () => {
    await lab.add("many", undefined, "shared");
    await python("many", "os.mkdir('/srv/many')", "for n in range(3000): os.mknod(f'/srv/many/{n}', 0o140600)");
    const [[code, count, examples] = []] = (await lossesOf("many")).found;
    expect([code, count]).toEqual(["SocketsLeftOut", 3000]);
    expect(examples).toHaveLength(5);
  }, 60_000);

  test("says so when there is no such container, or no program to look with", async () => {
    expect((await lossesOf("absent")).found).toEqual([["LossesUnknown", 1, []]]);
    const before = program;
    program = "/absent";
    expect((await lossesOf("clean")).found).toEqual([["LossesUnknown", 1, []]]);
    program = before;
  }, 60_000);
});
