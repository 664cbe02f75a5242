import { execFile } from "node:child_process";
import { lstat, mkdtemp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import type { PullProgress } from "../image-store.ts";
import { digestFile, installImage, installReference } from "./image-files.ts";
import { pushImage, pushIndex } from "../../../../test/images/make-image.ts";
import { call, file, useImageStore } from "../../../../test/images/store-harness.ts";

const run = promisify(execFile);
const h = useImageStore();

describe("ImageStore.acquire()", () => {
  test("pulls an image once for concurrent callers, by tag and by digest, and answers the second time without a registry", async () => {
    const { digest } = await pushImage(h.open.host, "once", "latest", { layers: [[file("a")]] });
    const references = [`${h.proxy.host}/once`, `${h.proxy.host}/once:latest`, `${h.proxy.host}/once@${digest}`];
    const images = await Promise.all(
      [...references, ...references].map((reference) => h.store.acquire(reference, call)),
    );
    expect(new Set(images.map((image) => image.digest))).toEqual(new Set([digest]));
    expect(h.proxy.seen.filter((request) => /GET .*\/blobs\//.test(request)).length).toBe(2);
    const requests = h.proxy.seen.length;
    expect(await h.store.acquire(`${h.proxy.host}/once`, call)).toEqual(images[0]);
    expect(h.proxy.seen.length).toBe(requests);
    expect(await h.litter()).toEqual([]);
  });

  test("reads entrypoint, command, environment, directory and user from the image", async () => {
    const passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n";
    const group = "root:x:0:\napp:x:1001:\nextra:x:1002:app\n";
    const config = { User: "app", Env: ["PATH=/bin", "A=b=c"], Entrypoint: ["/run"], Cmd: ["x"], WorkingDir: "/work" };
    const reference = await h.push("config", [[file("etc/passwd", passwd), file("etc/group", group)]], config);
    const image = await h.store.acquire(reference, call);
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

  test("picks this machine's architecture of an index, and says which one is missing", async () => {
    const [mine, other] = process.arch === "arm64" ? ["arm64", "amd64"] : ["amd64", "arm64"];
    const foreign = await pushImage(h.open.host, "multi", "foreign", {
      layers: [[file("foreign")]],
      architecture: other,
    });
    const own = await pushImage(h.open.host, "multi", "own", { layers: [[file("own")]], architecture: mine });
    const members = [
      { ...foreign, architecture: other },
      { ...own, architecture: mine },
    ];
    const index = await pushIndex(h.open.host, "multi", "latest", members);
    for (const reference of [`${h.open.host}/multi`, `${h.open.host}/multi@${index.digest}`]) {
      const { digest, pulledDigest } = await h.store.acquire(reference, call);
      expect([digest, pulledDigest]).toEqual([own.digest, index.digest]);
    }
    const { digest, pulledDigest } = await h.store.acquire(`${h.open.host}/multi@${own.digest}`, call);
    expect([digest, pulledDigest]).toEqual([own.digest, own.digest]);
    await pushIndex(h.open.host, "multi", "elsewhere", members.slice(0, 1));
    await expect(h.store.acquire(`${h.open.host}/multi:elsewhere`, call)).rejects.toMatchObject({
      reason: "ImagePullFailed",
      message: `Image ${h.open.host}/multi:elsewhere cannot be used: it has no linux/${mine} variant.`,
    });
  });

  test("asks the registry again under pullPolicy Always, and pulls only what changed", async () => {
    const first = await pushImage(h.open.host, "moving", "latest", { layers: [[file("one")]] });
    const always = await h.createStore({ pullPolicy: "Always" });
    expect((await always.acquire(`${h.proxy.host}/moving`, call)).digest).toBe(first.digest);
    const blobs = (): number => h.proxy.seen.filter((request) => request.includes("/blobs/")).length;
    const before = blobs();
    expect((await always.acquire(`${h.proxy.host}/moving`, call)).digest).toBe(first.digest);
    expect(blobs()).toBe(before);
    const second = await pushImage(h.open.host, "moving", "latest", { layers: [[file("two")]] });
    expect((await always.acquire(`${h.proxy.host}/moving`, call)).digest).toBe(second.digest);
    expect((await h.store.acquire(`${h.proxy.host}/moving`, call)).digest).toBe(second.digest);
    await always.close();
  });

  test("reports phases and bytes", async () => {
    const seen: PullProgress[] = [];
    const reference = await h.push("progress", [[file("a", "x".repeat(10_000))]]);
    await h.store.acquire(reference, { ...call, onProgress: (progress) => seen.push(progress) });
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual(["resolve", "download", "unpack", "pack"]);
    expect(seen.find(({ phase }) => phase === "download")?.totalBytes).toBeGreaterThan(0);
  });

  test("stops the pull when the last waiter leaves, and only then", async () => {
    const reference = await h.push("leaving", [[file("a")]]);
    const gate = h.proxy.hold(/\/blobs\//);
    const [first, second] = [new AbortController(), new AbortController()];
    const waiting = [first, second].map((leaver) => h.store.acquire(reference, { ...call, signal: leaver.signal }));
    const outcomes = Promise.allSettled(waiting);
    await gate.first;
    first.abort(new Error("first left"));
    await expect(waiting[0]).rejects.toThrow("first left");
    expect(await readdir(join(h.dir, "staging"))).toHaveLength(1);
    second.abort(new Error("second left"));
    await outcomes;
    await h.store.close();
    expect(await readdir(join(h.dir, "staging"))).toEqual([]);
    gate.open();
    h.store = await h.createStore();
    expect((await h.store.acquire(reference, call)).sizeBytes).toBeGreaterThan(0);
  });
});

describe("ImageStore.acquire() of atoll/debian", () => {
  test("answers from the machine under all its names, and never asks a registry", async () => {
    const tree = await mkdtemp(join(h.dir, "tree-"));
    await run("mkfs.erofs", ["--quiet", "-Enoinline_data", join(h.dir, "base"), tree]);
    const digest = await digestFile(join(h.dir, "base"));
    const user = { uid: 0, gid: 0, additionalGids: [], home: "/root" };
    await installImage(h.dir, join(h.dir, "base"), {
      digest,
      config: { entrypoint: [], cmd: ["bash"], env: {}, workingDir: "/", user },
    });
    await installReference(h.dir, "docker.io/atoll/debian:latest", { digest });
    for (const reference of [
      "atoll/debian",
      "atoll/debian:latest",
      "docker.io/atoll/debian",
      "docker.io/atoll/debian:latest",
    ]) {
      expect((await h.store.acquire(reference, call)).digest).toBe(digest);
    }
    await expect(h.store.acquire("atoll/debian:13", call)).rejects.toMatchObject({ reason: "ImageNotFound" });
    h.store.releaseAll(call.holder);
    const small = await h.createStore({ maxBytes: 1 });
    expect(await small.evict()).toEqual([]);
    await small.close();
  });
});

describe("ImageStore.evict()", () => {
  test("removes unheld images, least recently used first, and keeps held ones", async () => {
    const references = await Promise.all(
      ["one", "two", "three"].map((name) => h.push(`evict-${name}`, [[file(name)]])),
    );
    const digests: string[] = [];
    for (const [index, reference] of references.entries()) {
      digests.push((await h.store.acquire(reference, { ...call, holder: `sandbox-${index}` })).digest);
    }
    await h.store.close();
    h.store = await h.createStore({ maxBytes: 1 });
    expect(h.store.hold(digests[0] ?? "", "sandbox-0")?.digest).toBe(digests[0]);
    expect(await h.store.evict()).toEqual([digests[1], digests[2]]);
    expect(h.store.list().map(({ digest }) => digest)).toEqual([digests[0]]);
    h.store.releaseAll("sandbox-0");
    await h.store.close();
    expect(h.store.list()).toEqual([]);
    expect(await h.litter()).toEqual([]);
    expect((await readdir(join(h.dir, "references"))).length).toBe(0);
  });
});
