import { readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { READER, startRegistry, type LocalRegistry } from "../../../../test/images/local-registry.ts";
import { pushImage } from "../../../../test/images/make-image.ts";
import { call, file, useImageStore } from "../../../../test/images/store-harness.ts";

let closed: LocalRegistry;
beforeAll(async () => {
  closed = await startRegistry({ closed: true });
}, 60_000);
afterAll(() => closed.stop());
const h = useImageStore();

describe("ImageStore.acquire() refuses", () => {
  test.each(["", "UPPER/case", "a:b:c", "a@sha256:12", "../x", "a b", "host/", "-x", `${"a/".repeat(200)}a`])(
    "the malformed reference %j",
    async (reference) => {
      await expect(h.store.acquire(reference, call)).rejects.toMatchObject({ slug: "bad-request" });
    },
  );

  test("an unknown tag and an unknown repository as ImageNotFound", async () => {
    const reference = await h.push("known", [[file("a")]]);
    for (const unknown of [
      `${reference}:absent`,
      `${h.open.host}/absent/repository`,
      `${reference}@sha256:${"0".repeat(64)}`,
    ]) {
      await expect(h.store.acquire(unknown, call)).rejects.toMatchObject({
        reason: "ImageNotFound",
        fault: "not-found",
      });
    }
  });

  test("a closed registry without credentials and with wrong ones as ImagePullDenied, and pulls with the right ones", async () => {
    const authorization = `Basic ${btoa(`${READER.name}:${READER.password}`)}`;
    await pushImage(closed.host, "private", "latest", { layers: [[file("a")]] }, { authorization });
    const reference = `${closed.host}/private`;
    const insecureRegistries = [closed.host];
    const anonymous = await h.createStore({ insecureRegistries });
    await expect(anonymous.acquire(reference, call)).rejects.toMatchObject({ reason: "ImagePullDenied" });
    await anonymous.close();
    const attempt = async (password: string): Promise<string> => {
      const authFile = join(h.dir, "config.json");
      await writeFile(
        authFile,
        JSON.stringify({ auths: { [closed.host]: { auth: btoa(`${READER.name}:${password}`) } } }),
      );
      const other = await h.createStore({ authFile, insecureRegistries });
      const image = await other.acquire(reference, call).finally(() => other.close());
      await rm(authFile);
      return image.digest;
    };
    await expect(attempt("wrong")).rejects.toMatchObject({ reason: "ImagePullDenied" });
    expect(await attempt(READER.password)).toMatch(/^sha256:/);
  });

  test("a registry outside the allowed ones without asking it", async () => {
    const reference = await h.push("allowed", [[file("a")]]);
    const fenced = await h.createStore({ allowedRegistries: ["docker.io"] });
    await expect(fenced.acquire(reference, call)).rejects.toMatchObject({ reason: "ImagePullDenied" });
    expect(h.proxy.seen).toEqual([]);
    await fenced.close();
  });

  test("a registry that cannot be reached, resolved, trusted, or is overrun", async () => {
    const reference = await h.push("limited", [[file("a")]]);
    await expect(h.store.acquire("127.0.0.1:1/x/y", call)).rejects.toMatchObject({
      fault: "unreachable",
      reason: "ImagePullFailed",
    });
    await expect(h.store.acquire("registry.invalid/x", call)).rejects.toMatchObject({ fault: "unreachable" });
    const strict = await h.createStore({ insecureRegistries: [] });
    await expect(strict.acquire(reference, call)).rejects.toMatchObject({ fault: "tls" });
    await strict.close();
    h.proxy.answer(/manifests/, 403, "{}");
    await expect(h.store.acquire(reference, call)).rejects.toMatchObject({ fault: "denied" });
  });

  test("a registry that stays silent, after the configured wait", async () => {
    const silent: Server = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const host = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const hasty = await h.createStore({ resolveTimeoutMs: 200, insecureRegistries: [host] });
    await expect(hasty.acquire(`${host}/x`, call)).rejects.toMatchObject({
      fault: "timeout",
      reason: "ImagePullFailed",
    });
    await hasty.close();
    silent.close();
  });

  test("a download that takes longer than the configured time", async () => {
    const reference = await h.push("slow", [[file("a")]]);
    const gate = h.proxy.hold(/\/blobs\//);
    const hasty = await h.createStore({ pullTimeoutMs: 300 });
    await expect(hasty.acquire(reference, call)).rejects.toMatchObject({ fault: "timeout" });
    gate.open();
    await hasty.close();
    expect(await h.litter()).toEqual([]);
  });

  test("a layer that does not match its digest", async () => {
    const { layerDigests } = await pushImage(h.open.host, "corrupt", "latest", { layers: [[file("a", "original")]] });
    const hex = layerDigests[0]?.slice(7) ?? "";
    const path = join(h.open.storageDir, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
    const bytes = await readFile(path);
    bytes[bytes.length - 9] = (bytes.at(-9) ?? 0) ^ 0xff;
    await writeFile(path, bytes);
    await expect(h.store.acquire(`${h.open.host}/corrupt`, call)).rejects.toMatchObject({
      fault: "corrupt",
      reason: "ImagePullFailed",
    });
    expect(await h.litter()).toEqual([]);
  });

  test("a manifest that does not match the digest asked for", async () => {
    const { digest } = await pushImage(h.open.host, "swapped", "latest", { layers: [[file("a")]] });
    h.proxy.answer(/manifests/, 200, JSON.stringify({ schemaVersion: 2, config: {}, layers: [] }));
    await expect(h.store.acquire(`${h.proxy.host}/swapped@${digest}`, call)).rejects.toMatchObject({
      fault: "corrupt",
    });
  });

  test("layers outside the registry, unknown users, large images and full disks", async () => {
    const recipe = { layers: [[file("a")]], layerFields: { urls: ["http://127.0.0.1:1/secret"] } };
    await pushImage(h.open.host, "foreign-layer", "latest", recipe).catch(() => {});
    const foreign = JSON.stringify({
      schemaVersion: 2,
      config: { digest: `sha256:${"0".repeat(64)}`, size: 1 },
      layers: [{ digest: `sha256:${"1".repeat(64)}`, size: 1, urls: ["http://127.0.0.1:1/secret"] }],
    });
    h.proxy.answer(/foreign\/manifests/, 200, foreign);
    await expect(h.store.acquire(`${h.proxy.host}/foreign`, call)).rejects.toMatchObject({ fault: "unusable" });
    const stranger = await h.push("stranger", [[file("a")]], { User: "nobody-here" });
    await expect(h.store.acquire(stranger, call)).rejects.toMatchObject({ fault: "unusable" });
    const tight = await h.createStore({ maxImageBytes: 10 });
    await expect(tight.acquire(stranger, call)).rejects.toMatchObject({ fault: "unusable" });
    const full = await h.createStore({ reserveBytes: Number.MAX_SAFE_INTEGER });
    await expect(full.acquire(stranger, call)).rejects.toMatchObject({ fault: "disk-full", reason: "ImagePullFailed" });
    await tight.close();
    await full.close();
    expect(await h.litter()).toEqual([]);
  });
});
