import { execFile, spawn } from "node:child_process";
import { lstat, mkdtemp, readdir, readFile, readlink, rm, truncate, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#core/clock.ts";
import { silentLog } from "#core/log.ts";
import type { ImageStore, ImageStoreConfig, PullProgress } from "../image-store.ts";
import { createImageStore } from "./image-store.ts";
import { digestFile, installImage, installReference } from "./image-files.ts";
import { READER, startRegistry, type LocalRegistry } from "../../../../test/images/local-registry.ts";
import { pushImage, pushIndex, type LayerEntry } from "../../../../test/images/make-image.ts";
import { startRegistryProxy, type RegistryProxy } from "../../../../test/images/registry-proxy.ts";

const run = promisify(execFile);
const GIB = 1024 ** 3;
const signal = new AbortController().signal;
const call = { holder: "sandbox-1", signal, log: silentLog };
let open: LocalRegistry;
let closed: LocalRegistry;
let proxy: RegistryProxy;
let dir: string;
let store: ImageStore;

beforeAll(async () => {
  open = await startRegistry();
  closed = await startRegistry({ closed: true });
}, 60_000);

afterAll(async () => {
  await open.stop();
  await closed.stop();
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "atoll-images-"));
  proxy = await startRegistryProxy(open.host);
  store = await createStore();
});

afterEach(async () => {
  await store.close();
  await proxy.stop();
  await rm(dir, { recursive: true });
});

async function createStore(overrides: Partial<ImageStoreConfig> = {}): Promise<ImageStore> {
  const insecureRegistries = [open.host, closed.host, proxy.host];
  const env = { PATH: process.env["PATH"] ?? "", HOME: dir };
  const config = { dir, maxBytes: GIB, reserveBytes: 1, insecureRegistries, env, ...overrides };
  return createImageStore(config, { log: silentLog, clock: systemClock });
}

const file = (name: string, content = name, more: Partial<LayerEntry> = {}): LayerEntry => ({ name, content, ...more });
const directory = (name: string, more: Partial<LayerEntry> = {}): LayerEntry => ({ name, type: "directory", ...more });
const symlink = (name: string, linkname: string): LayerEntry => ({ name, type: "symlink", linkname });

/** Pushes an image and answers its reference through the proxy. */
async function push(
  name: string,
  layers: readonly (readonly LayerEntry[])[],
  config: Record<string, unknown> = {},
): Promise<string> {
  await pushImage(open.host, name, "latest", { layers, config });
  return `${proxy.host}/${name}`;
}

/** What is on disk besides whole images. */
async function litter(): Promise<string[]> {
  const names = await readdir(dir, { recursive: true });
  return names.filter(
    (name) =>
      !/^(references(\/[0-9a-f]{64}\.json)?|[0-9a-f]{64}\.(erofs|json)|staging|empty-root|anonymous\.auth)$/.test(name),
  );
}

async function extract(erofsPath: string): Promise<string> {
  const root = join(await mkdtemp(join(dir, "extracted-")), "root");
  await run("fsck.erofs", [`--extract=${root}`, erofsPath]);
  return root;
}

async function dump(erofsPath: string, path: string): Promise<string> {
  return (await run("dump.erofs", [`--path=${path}`, erofsPath])).stdout;
}

/** Type and mode as they lie in the inode: the unpacking tool drops the set-user-id bit. */
async function packedMode(erofsPath: string, path: string): Promise<number> {
  const inode = Number(/NID: (\d+)/.exec(await dump(erofsPath, path))?.[1]);
  const bytes = await readFile(erofsPath);
  const metaBlock = bytes.readUInt32LE(1024 + 40);
  return bytes.readUInt16LE(metaBlock * 4096 + inode * 32 + 4);
}

describe("ImageStore.acquire()", () => {
  test("pulls an image once for concurrent callers, by tag and by digest, and answers the second time without a registry", async () => {
    const { digest } = await pushImage(open.host, "once", "latest", { layers: [[file("a")]] });
    const references = [`${proxy.host}/once`, `${proxy.host}/once:latest`, `${proxy.host}/once@${digest}`];
    const images = await Promise.all([...references, ...references].map((reference) => store.acquire(reference, call)));
    expect(new Set(images.map((image) => image.digest))).toEqual(new Set([digest]));
    expect(proxy.seen.filter((request) => /GET .*\/blobs\//.test(request)).length).toBe(2);
    const requests = proxy.seen.length;
    expect(await store.acquire(`${proxy.host}/once`, call)).toEqual(images[0]);
    expect(proxy.seen.length).toBe(requests);
    expect(await litter()).toEqual([]);
  });

  test("reads entrypoint, command, environment, directory and user from the image", async () => {
    const passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    const group = "root:x:0:\napp:x:1001:\nextra:x:1002:app\n";
    const config = { User: "app", Env: ["PATH=/bin", "A=b=c"], Entrypoint: ["/run"], Cmd: ["x"], WorkingDir: "/work" };
    const reference = await push("config", [[file("etc/passwd", passwd), file("etc/group", group)]], config);
    const image = await store.acquire(reference, call);
    expect(image.config).toEqual({
      entrypoint: ["/run"],
      cmd: ["x"],
      env: { PATH: "/bin", A: "b=c" },
      workingDir: "/work",
      user: { uid: 1000, gid: 1001, additionalGids: [1002], home: "/home/app" },
    });
    expect((await lstat(image.erofsPath)).size).toBe(image.sizeBytes);
    expect(await readdir(image.emptyRootDir)).toEqual([]);
  });

  test("applies whiteouts, opaque directories, hard links, setuid, owners, attributes, times and odd names", async () => {
    const odd = "name with \n newline, ütf and \u{1f600}";
    const reference = await push("tree", [
      [
        file("gone"),
        directory("opaque"),
        file("opaque/old"),
        directory("kept"),
        file("kept/below"),
        file("kept/hidden"),
      ],
      [
        file(".wh.gone", ""),
        file("opaque/.wh..wh..opq", ""),
        file("opaque/new"),
        file("kept/.wh.hidden", ""),
        file("sudo", "x", { mode: 0o4755, uid: 7, gid: 8 }),
        { name: "hard", type: "link", linkname: "sudo" },
        file("marked", "x", { pax: { "SCHILY.xattr.user.color": "blue" } }),
        file(odd),
        symlink("absolute", "/etc/passwd"),
      ],
    ]);
    const image = await store.acquire(reference, call);
    const root = await extract(image.erofsPath);
    const names = await readdir(root, { recursive: true });
    expect(names).not.toContain("gone");
    expect(names).not.toContain("opaque/old");
    expect(names).not.toContain("kept/hidden");
    expect(names.filter((name) => name.includes(".wh."))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(["opaque/new", "kept/below", odd]));
    const sudo = await lstat(join(root, "sudo"));
    expect([sudo.uid, sudo.gid, sudo.mtimeMs]).toEqual([7, 8, 1_600_000_000_000]);
    expect(await packedMode(image.erofsPath, "/sudo")).toBe(0o104755);
    expect(await dump(image.erofsPath, "/marked")).toMatch(/Xattr size: [1-9]/);
    expect(await readFile(join(root, "hard"), "utf8")).toBe("x");
    expect(await readlink(join(root, "absolute"))).toBe("/etc/passwd");
  });

  test("gives every image the mount points, symlinks in their place replaced", async () => {
    const reference = await push("mounts", [
      [
        symlink("tmp", "/var/tmp"),
        symlink("proc", "/"),
        directory("etc"),
        symlink("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"),
        directory("etc/hosts"),
        file("etc/hosts/inside"),
        file("etc/hostname", "kept\n"),
      ],
    ]);
    const root = await extract((await store.acquire(reference, call)).erofsPath);
    for (const name of ["proc", "sys", "dev", "tmp"]) expect((await lstat(join(root, name))).isDirectory()).toBe(true);
    expect((await lstat(join(root, "tmp"))).mode & 0o7777).toBe(0o1777);
    expect(await readFile(join(root, "etc/resolv.conf"), "utf8")).toBe("");
    expect(await readFile(join(root, "etc/hosts"), "utf8")).toBe("");
    expect(await readFile(join(root, "etc/hostname"), "utf8")).toBe("kept\n");
  });

  const up = "../".repeat(20);
  const attacks: readonly { name: string; layers: (outside: string) => readonly (readonly LayerEntry[])[] }[] = [
    { name: "dots in a name", layers: (outside) => [[file(`${up}${outside.slice(1)}/by-dots`)]] },
    { name: "an absolute name", layers: (outside) => [[file(`${outside}/by-name`)]] },
    { name: "an absolute symlink", layers: (outside) => [[symlink("door", outside), file("door/by-symlink")]] },
    {
      name: "an absolute symlink of a lower layer",
      layers: (outside) => [[symlink("door", outside)], [file("door/new")]],
    },
    { name: "a relative symlink", layers: (outside) => [[symlink("up", `${up}${outside.slice(1)}`), file("up/new")]] },
    { name: "a root that is a symlink", layers: (outside) => [[symlink(".", outside)], [file("new")]] },
    {
      name: "a whiteout behind a symlink",
      layers: (outside) => [[symlink("door", outside)], [file("door/.wh.victim", "")]],
    },
    { name: "an opaque symlink", layers: (outside) => [[symlink("up", outside)], [file("up/.wh..wh..opq", "")]] },
    { name: "a whiteout of dots", layers: () => [[file("a")], [file(".wh...", ""), file("b/.wh...", "")]] },
    {
      name: "a new mode through a symlink",
      layers: (outside) => [[symlink("m", `${outside}/victim`), file("m", "changed", { mode: 0o777 })]],
    },
    { name: "a symlink as /etc", layers: (outside) => [[symlink("etc", outside)]] },
    {
      name: "a symlink as /etc/resolv.conf",
      layers: (outside) => [[directory("etc"), symlink("etc/resolv.conf", `${outside}/victim`)]],
    },
    { name: "a symlink as /tmp", layers: (outside) => [[symlink("tmp", outside)]] },
  ];

  test.each(attacks)("keeps $name inside the image", async ({ name, layers }) => {
    const outside = await mkdtemp(join(tmpdir(), "atoll-outside-"));
    await writeFile(join(outside, "victim"), "untouched", { mode: 0o600 });
    const reference = await push(`hostile-${name.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`, layers(outside), {
      User: "root",
    });
    await store.acquire(reference, call).catch((error: unknown) => expect(error).toMatchObject({ fault: "unusable" }));
    expect(await readdir(outside)).toEqual(["victim"]);
    expect(await readFile(join(outside, "victim"), "utf8")).toBe("untouched");
    expect((await lstat(join(outside, "victim"))).mode & 0o777).toBe(0o600);
    expect(await litter()).toEqual([]);
    await rm(outside, { recursive: true });
  });

  test("never shows a file of this machine through a hard link, a symlinked user database or a FIFO in its place", async () => {
    const outside = await mkdtemp(join(dir, "outside-"));
    await writeFile(join(outside, "passwd"), "thief:x:0:0::/:/bin/sh\n");
    const link = { name: "stolen", type: "link" as const, linkname: `${up}${outside.slice(1)}/passwd` };
    await expect(store.acquire(await push("stolen", [[link]]), call)).rejects.toMatchObject({ fault: "unusable" });
    const database = [directory("etc"), symlink("etc/passwd", `${outside}/passwd`)];
    await expect(store.acquire(await push("database", [database], { User: "thief" }), call)).rejects.toMatchObject({
      fault: "unusable",
    });
    const fifo = [directory("etc"), { name: "etc/passwd", type: "fifo" as const }];
    expect((await store.acquire(await push("fifo", [fifo]), call)).config.user.uid).toBe(0);
  });

  test("picks this machine's architecture of an index, and says which one is missing", async () => {
    const [mine, other] = process.arch === "arm64" ? ["arm64", "amd64"] : ["amd64", "arm64"];
    const foreign = await pushImage(open.host, "multi", "foreign", {
      layers: [[file("foreign")]],
      architecture: other,
    });
    const own = await pushImage(open.host, "multi", "own", { layers: [[file("own")]], architecture: mine });
    const members = [
      { ...foreign, architecture: other },
      { ...own, architecture: mine },
    ];
    const index = await pushIndex(open.host, "multi", "latest", members);
    expect((await store.acquire(`${open.host}/multi`, call)).digest).toBe(own.digest);
    expect((await store.acquire(`${open.host}/multi@${index.digest}`, call)).digest).toBe(own.digest);
    await pushIndex(open.host, "multi", "elsewhere", members.slice(0, 1));
    await expect(store.acquire(`${open.host}/multi:elsewhere`, call)).rejects.toMatchObject({
      reason: "ImagePullFailed",
      message: `Image ${open.host}/multi:elsewhere cannot be used: it has no linux/${mine} variant.`,
    });
  });

  test("asks the registry again under pullPolicy Always, and pulls only what changed", async () => {
    const first = await pushImage(open.host, "moving", "latest", { layers: [[file("one")]] });
    const always = await createStore({ pullPolicy: "Always" });
    expect((await always.acquire(`${proxy.host}/moving`, call)).digest).toBe(first.digest);
    const blobs = (): number => proxy.seen.filter((request) => request.includes("/blobs/")).length;
    const before = blobs();
    expect((await always.acquire(`${proxy.host}/moving`, call)).digest).toBe(first.digest);
    expect(blobs()).toBe(before);
    const second = await pushImage(open.host, "moving", "latest", { layers: [[file("two")]] });
    expect((await always.acquire(`${proxy.host}/moving`, call)).digest).toBe(second.digest);
    expect((await store.acquire(`${proxy.host}/moving`, call)).digest).toBe(second.digest);
    await always.close();
  });

  test("reports phases and bytes", async () => {
    const seen: PullProgress[] = [];
    const reference = await push("progress", [[file("a", "x".repeat(10_000))]]);
    await store.acquire(reference, { ...call, onProgress: (progress) => seen.push(progress) });
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(["resolve", "download", "unpack", "pack"]);
    expect(seen.find(({ phase }) => phase === "download")?.totalBytes).toBeGreaterThan(0);
  });

  test("stops the pull when the last waiter leaves, and only then", async () => {
    const reference = await push("leaving", [[file("a")]]);
    const gate = proxy.hold(/\/blobs\//);
    const [first, second] = [new AbortController(), new AbortController()];
    const waiting = [first, second].map((leaver) => store.acquire(reference, { ...call, signal: leaver.signal }));
    const outcomes = Promise.allSettled(waiting);
    await gate.first;
    first.abort(new Error("first left"));
    await expect(waiting[0]).rejects.toThrow("first left");
    expect(await readdir(join(dir, "staging"))).toHaveLength(1);
    second.abort(new Error("second left"));
    await outcomes;
    await store.close();
    expect(await readdir(join(dir, "staging"))).toEqual([]);
    gate.open();
    store = await createStore();
    expect((await store.acquire(reference, call)).sizeBytes).toBeGreaterThan(0);
  });
});

describe("ImageStore.acquire() of atoll/debian", () => {
  test("answers from the machine under all its names, and never asks a registry", async () => {
    const tree = await mkdtemp(join(dir, "tree-"));
    await run("mkfs.erofs", ["--quiet", "-Enoinline_data", join(dir, "base"), tree]);
    const digest = await digestFile(join(dir, "base"));
    const user = { uid: 0, gid: 0, additionalGids: [], home: "/root" };
    await installImage(dir, join(dir, "base"), {
      digest,
      config: { entrypoint: [], cmd: ["bash"], env: {}, workingDir: "/", user },
    });
    await installReference(dir, "docker.io/atoll/debian:latest", digest);
    for (const reference of [
      "atoll/debian",
      "atoll/debian:latest",
      "docker.io/atoll/debian",
      "docker.io/atoll/debian:latest",
    ]) {
      expect((await store.acquire(reference, call)).digest).toBe(digest);
    }
    await expect(store.acquire("atoll/debian:13", call)).rejects.toMatchObject({ reason: "ImageNotFound" });
    store.releaseAll(call.holder);
    const small = await createStore({ maxBytes: 1 });
    expect(await small.evict()).toEqual([]);
    await small.close();
  });
});

describe("ImageStore.acquire() refuses", () => {
  test.each(["", "UPPER/case", "a:b:c", "a@sha256:12", "../x", "a b", "host/", "-x", `${"a/".repeat(200)}a`])(
    "the malformed reference %j",
    async (reference) => {
      await expect(store.acquire(reference, call)).rejects.toMatchObject({ slug: "bad-request" });
    },
  );

  test("an unknown tag and an unknown repository as ImageNotFound", async () => {
    const reference = await push("known", [[file("a")]]);
    for (const unknown of [
      `${reference}:absent`,
      `${open.host}/absent/repository`,
      `${reference}@sha256:${"0".repeat(64)}`,
    ]) {
      await expect(store.acquire(unknown, call)).rejects.toMatchObject({ reason: "ImageNotFound", fault: "not-found" });
    }
  });

  test("a closed registry without credentials and with wrong ones as ImagePullDenied, and pulls with the right ones", async () => {
    const authorization = `Basic ${btoa(`${READER.name}:${READER.password}`)}`;
    await pushImage(closed.host, "private", "latest", { layers: [[file("a")]] }, { authorization });
    const reference = `${closed.host}/private`;
    await expect(store.acquire(reference, call)).rejects.toMatchObject({ reason: "ImagePullDenied" });
    const attempt = async (password: string): Promise<string> => {
      const authFile = join(dir, "config.json");
      await writeFile(
        authFile,
        JSON.stringify({ auths: { [closed.host]: { auth: btoa(`${READER.name}:${password}`) } } }),
      );
      const other = await createStore({ authFile });
      const image = await other.acquire(reference, call).finally(() => other.close());
      await rm(authFile);
      return image.digest;
    };
    await expect(attempt("wrong")).rejects.toMatchObject({ reason: "ImagePullDenied" });
    expect(await attempt(READER.password)).toMatch(/^sha256:/);
  });

  test("a registry outside the allowed ones without asking it", async () => {
    const reference = await push("allowed", [[file("a")]]);
    const fenced = await createStore({ allowedRegistries: ["docker.io"] });
    await expect(fenced.acquire(reference, call)).rejects.toMatchObject({ reason: "ImagePullDenied" });
    expect(proxy.seen).toEqual([]);
    await fenced.close();
  });

  test("a registry that cannot be reached, resolved, trusted, or is overrun", async () => {
    const reference = await push("limited", [[file("a")]]);
    await expect(store.acquire("127.0.0.1:1/x/y", call)).rejects.toMatchObject({
      fault: "unreachable",
      reason: "ImagePullFailed",
    });
    await expect(store.acquire("registry.invalid/x", call)).rejects.toMatchObject({ fault: "unreachable" });
    const strict = await createStore({ insecureRegistries: [] });
    await expect(strict.acquire(reference, call)).rejects.toMatchObject({ fault: "tls" });
    await strict.close();
    proxy.answer(/manifests/, 403, "{}");
    await expect(store.acquire(reference, call)).rejects.toMatchObject({ fault: "denied" });
  });

  test("a registry that stays silent, after the configured wait", async () => {
    const silent: Server = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const host = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const hasty = await createStore({ resolveTimeoutMs: 200, insecureRegistries: [host] });
    await expect(hasty.acquire(`${host}/x`, call)).rejects.toMatchObject({
      fault: "timeout",
      reason: "ImagePullFailed",
    });
    await hasty.close();
    silent.close();
  });

  test("a download that takes longer than the configured time", async () => {
    const reference = await push("slow", [[file("a")]]);
    const gate = proxy.hold(/\/blobs\//);
    const hasty = await createStore({ pullTimeoutMs: 300 });
    await expect(hasty.acquire(reference, call)).rejects.toMatchObject({ fault: "timeout" });
    gate.open();
    await hasty.close();
    expect(await litter()).toEqual([]);
  });

  test("a layer that does not match its digest", async () => {
    const { layerDigests } = await pushImage(open.host, "corrupt", "latest", { layers: [[file("a", "original")]] });
    const hex = layerDigests[0]?.slice(7) ?? "";
    const path = join(open.storageDir, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
    const bytes = await readFile(path);
    bytes[bytes.length - 9] = (bytes.at(-9) ?? 0) ^ 0xff;
    await writeFile(path, bytes);
    await expect(store.acquire(`${open.host}/corrupt`, call)).rejects.toMatchObject({
      fault: "corrupt",
      reason: "ImagePullFailed",
    });
    expect(await litter()).toEqual([]);
  });

  test("a manifest that does not match the digest asked for", async () => {
    const { digest } = await pushImage(open.host, "swapped", "latest", { layers: [[file("a")]] });
    proxy.answer(/manifests/, 200, JSON.stringify({ schemaVersion: 2, config: {}, layers: [] }));
    await expect(store.acquire(`${proxy.host}/swapped@${digest}`, call)).rejects.toMatchObject({ fault: "corrupt" });
  });

  test("layers outside the registry, unknown users, large images and full disks", async () => {
    const recipe = { layers: [[file("a")]], layerFields: { urls: ["http://127.0.0.1:1/secret"] } };
    await pushImage(open.host, "foreign-layer", "latest", recipe).catch(() => {});
    const foreign = JSON.stringify({
      schemaVersion: 2,
      config: { digest: `sha256:${"0".repeat(64)}`, size: 1 },
      layers: [{ digest: `sha256:${"1".repeat(64)}`, size: 1, urls: ["http://127.0.0.1:1/secret"] }],
    });
    proxy.answer(/foreign\/manifests/, 200, foreign);
    await expect(store.acquire(`${proxy.host}/foreign`, call)).rejects.toMatchObject({ fault: "unusable" });
    const stranger = await push("stranger", [[file("a")]], { User: "nobody-here" });
    await expect(store.acquire(stranger, call)).rejects.toMatchObject({ fault: "unusable" });
    const tight = await createStore({ maxImageBytes: 10 });
    await expect(tight.acquire(stranger, call)).rejects.toMatchObject({ fault: "unusable" });
    const full = await createStore({ reserveBytes: Number.MAX_SAFE_INTEGER });
    await expect(full.acquire(stranger, call)).rejects.toMatchObject({ fault: "disk-full", reason: "ImagePullFailed" });
    await tight.close();
    await full.close();
    expect(await litter()).toEqual([]);
  });
});

describe("createImageStore()", () => {
  const phases = ["resolve", "download", "unpack", "pack"] as const;

  test.each(phases)(
    "leaves no litter and no process after kill -9 in phase %s, and the image can be had",
    async (phase) => {
      const reference = await push(`killed-${phase}`, [
        Array.from({ length: 300 }, (_, index) => file(`dir/${index}`, "x".repeat(9000))),
      ]);
      await killDuring(phase, reference);
      await expect.poll(() => processesIn(dir), { interval: 20, timeout: 10_000 }).toEqual([]);
      await store.close();
      store = await createStore();
      expect(await litter()).toEqual([]);
      const image = await store.acquire(reference, call);
      const root = await extract(image.erofsPath);
      expect(await readdir(join(root, "dir"))).toHaveLength(300);
    },
  );

  test("removes what is not whole: a file without record, a record without file, a shortened file, a dangling reference", async () => {
    const [whole, shortened] = [await push("whole", [[file("a")]]), await push("shortened", [[file("b")]])];
    const kept = await store.acquire(whole, call);
    const broken = await store.acquire(shortened, call);
    await truncate(broken.erofsPath, 4096);
    await writeFile(join(dir, `${"0".repeat(64)}.erofs`), "half");
    await writeFile(join(dir, `${"1".repeat(64)}.json`), "{}");
    await installReference(dir, "docker.io/library/x:latest", `sha256:${"2".repeat(64)}`);
    await store.close();
    store = await createStore();
    expect(store.list().map(({ digest, references }) => [digest, references])).toEqual([
      [kept.digest, [`${whole}:latest`]],
    ]);
    expect((await readdir(dir)).filter((name) => /erofs|json/.test(name))).toHaveLength(2);
    expect(await readdir(join(dir, "references"))).toHaveLength(1);
  });
});

/** Pulls in a process of its own and kills it as soon as it reports the phase. */
async function killDuring(phase: string, reference: string): Promise<void> {
  const program = new URL("../../../../test/images/pull-process.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [program, dir, reference, proxy.host], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  createInterface(child.stdout).on("line", (line) => {
    if (line === phase) child.kill("SIGKILL");
  });
  await ended;
  expect(child.signalCode).toBe("SIGKILL");
}

async function processesIn(path: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && name !== String(process.pid));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(path));
}

describe("ImageStore.evict()", () => {
  test("removes unheld images, least recently used first, and keeps held ones", async () => {
    const references = await Promise.all(["one", "two", "three"].map((name) => push(`evict-${name}`, [[file(name)]])));
    const digests: string[] = [];
    for (const [index, reference] of references.entries()) {
      digests.push((await store.acquire(reference, { ...call, holder: `sandbox-${index}` })).digest);
    }
    await store.close();
    store = await createStore({ maxBytes: 1 });
    expect(store.hold(digests[0] ?? "", "sandbox-0")?.digest).toBe(digests[0]);
    expect(await store.evict()).toEqual([digests[1], digests[2]]);
    expect(store.list().map(({ digest }) => digest)).toEqual([digests[0]]);
    store.releaseAll("sandbox-0");
    await store.close();
    expect(store.list()).toEqual([]);
    expect(await litter()).toEqual([]);
    expect((await readdir(join(dir, "references"))).length).toBe(0);
  });
});
