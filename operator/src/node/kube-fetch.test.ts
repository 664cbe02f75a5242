import { KubeConfig } from "@kubernetes/client-node";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { UnsentError } from "#core/kubernetes/kube-error.ts";
import { createKubeFetch, type KubeFetchOptions } from "./kube-fetch.ts";

const PREFIX = "/some/prefix";
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
});

/** A server that answers like this, and a way to it. */
async function serve(listener: RequestListener, options: KubeFetchOptions & { readonly tokenFile?: string } = {}) {
  const server: Server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  const { port } = server.address() as AddressInfo;
  return { server, fetch: createKubeFetch(configOf(port, options.tokenFile), options) };
}

function configOf(port: number, tokenFile?: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: "c", server: `http://127.0.0.1:${port}${PREFIX}/`, skipTLSVerify: true },
    tokenFile === undefined
      ? { name: "u", token: "fixed" }
      : { name: "u", authProvider: { name: "tokenFile", config: { tokenFile } } },
  );
  return config;
}

describe("createKubeFetch()", () => {
  it("sends method, path below the server's prefix, headers, body and credentials", async () => {
    const { fetch } = await serve((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method, url, headers } = request;
        response.writeHead(201, { "x-seen": "yes" });
        response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString() }));
      });
    });
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: '{"ä":1}' };
    const response = await fetch("/api/v1/x?a=b", init);
    expect([response.status, response.headers.get("x-seen")]).toEqual([201, "yes"]);
    expect(await response.json()).toMatchObject({
      method: "POST",
      url: `${PREFIX}/api/v1/x?a=b`,
      body: '{"ä":1}',
      headers: { authorization: "Bearer fixed", "content-type": "application/json", "user-agent": "atoll-operator" },
    });
  });

  it("shares few connections among many calls, and keeps them", async () => {
    const sockets = new Set<Socket>();
    const { fetch } = await serve(
      (request, response) => {
        sockets.add(request.socket);
        setImmediate(() => response.end("ok"));
      },
      { maxConnections: 3 },
    );
    const answers = await Promise.all(Array.from({ length: 100 }, async () => (await fetch("/x", {})).text()));
    expect(new Set(answers)).toEqual(new Set(["ok"]));
    expect(sockets.size).toBeLessThanOrEqual(3);
  });

  it("lets watches stream beside calls, and ends the connection of one that is left", async () => {
    const closed = Promise.withResolvers<void>();
    const { fetch } = await serve(
      (request, response) => {
        if (!request.url?.includes("watch=")) return void response.end("ok");
        response.write("first\n");
        response.on("close", () => closed.resolve());
      },
      { maxConnections: 1 },
    );
    const watch = await fetch("/x?watch=true", {});
    const reader = watch.body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("first\n");
    expect(await (await fetch("/x", {})).text()).toBe("ok");
    await reader?.cancel();
    await closed.promise;
  });

  it("fails for a body that is cut, and for a watch that is", async () => {
    const { fetch } = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    await expect(fetch("/x", {})).rejects.toThrow();
    const watch = await fetch("/x?watch=true", {});
    await expect(watch.text()).rejects.toThrow();
  });

  it("says when nothing left: the connection was refused", async () => {
    const { server, fetch } = await serve((_request, response) => response.end());
    server.close();
    await once(server, "close");
    await expect(fetch("/x", { method: "POST", body: "{}" })).rejects.toBeInstanceOf(UnsentError);
  });

  it("does not say so when the answer is missing", async () => {
    const { fetch } = await serve((request) => request.socket.destroy());
    const failed: unknown = await fetch("/x", { method: "POST", body: "{}" }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Error);
    expect(failed).not.toBeInstanceOf(UnsentError);
  });

  it("ends a call at its signal", async () => {
    const arrived = Promise.withResolvers<void>();
    const { fetch } = await serve(() => arrived.resolve());
    const abort = new AbortController();
    const calling = fetch("/x", { signal: abort.signal });
    await arrived.promise;
    abort.abort();
    await expect(calling).rejects.toThrow();
  });

  it("reads a rotated token when the time has come, and at once when the old one is refused", async () => {
    const folder = await mkdtemp(join(tmpdir(), "atoll-token-"));
    closers.push(() => rm(folder, { recursive: true }));
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "first\n");
    let accepted = ["Bearer first"];
    let nowMs = 0;
    const seen: (string | undefined)[] = [];
    const { fetch } = await serve(
      ({ headers: { authorization } }, response) => {
        seen.push(authorization);
        response.writeHead(accepted.includes(authorization ?? "") ? 200 : 401).end();
      },
      { tokenFile, refreshMs: 1000, now: () => nowMs },
    );
    await fetch("/x", {});
    await writeFile(tokenFile, "second");
    await fetch("/x", {});
    nowMs = 1000;
    accepted = ["Bearer first", "Bearer second"];
    await fetch("/x", {});
    expect(seen).toEqual(["Bearer first", "Bearer first", "Bearer second"]);
    await writeFile(tokenFile, "third");
    accepted = ["Bearer third"];
    expect((await fetch("/x", {})).status).toBe(200);
    accepted = [];
    expect((await fetch("/x", {})).status).toBe(401);
  });
});
