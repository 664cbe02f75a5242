import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { HoldQuestion } from "../control/hold-path.ts";
import { serveKubelet, type KubeletServer } from "./serve-kubelet.ts";

const uid = (digit: number): string => `${String(digit).repeat(8)}-2222-3333-4444-555555555555`;
const servers: KubeletServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function prepare(mostHeld = 10) {
  const asked: { readonly question: HoldQuestion; readonly signal: AbortSignal; readonly yes: () => void }[] = [];
  const hold = (question: HoldQuestion, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      asked.push({ question, signal, yes: resolve });
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  const routes = {
    "/healthz": () => ({ status: 200, text: "ok\n" }),
    "/broken": () => Promise.reject(new Error("no")),
  };
  const server = await serveKubelet({ port: 0, mostHeld, routes, hold });
  servers.push(server);
  const get = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, init);
  const status = async (path: string, init?: RequestInit): Promise<number> => (await get(path, init)).status;
  return { asked, server, get, status };
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

describe("serveKubelet()", () => {
  test("holds a question until the answer is yes", async () => {
    const { asked, server, status } = await prepare();
    const answer = status(`/v1/restores/team/${uid(1)}`);
    await until(() => asked.length === 1);
    expect([asked[0]?.question, server.held]).toEqual([
      { kind: "restore", owner: { namespace: "team", sandboxUid: uid(1) } },
      1,
    ]);
    asked[0]?.yes();
    expect([await answer, server.held]).toEqual([200, 0]);
  });

  test("lets go of a question when its asker leaves", async () => {
    const { asked, server, get } = await prepare();
    const leave = new AbortController();
    const left = get(`/v1/stops/team/${uid(1)}`, { signal: leave.signal }).catch((error: unknown) => error);
    await until(() => asked.length === 1);
    leave.abort();
    await left;
    await until(() => server.held === 0);
    expect(asked[0]?.signal.aborted).toBe(true);
  });

  test("holds no more than it may, and answers other questions all the same", async () => {
    const { asked, status } = await prepare(2);
    const held = [status(`/v1/restores/team/${uid(1)}`), status(`/v1/restores/team/${uid(2)}`)];
    await until(() => asked.length === 2);
    expect([await status(`/v1/restores/team/${uid(3)}`), await status("/healthz")]).toEqual([503, 200]);
    for (const { yes } of asked) yes();
    expect(await Promise.all(held)).toEqual([200, 200]);
  });

  test("takes GETs of its paths and nothing else", async () => {
    const { asked, status } = await prepare();
    const path = `/v1/restores/team/${uid(1)}`;
    expect(await status("/healthz?x")).toBe(404);
    expect(await status(`${path}?x`)).toBe(404);
    expect(await status(path, { method: "POST" })).toBe(405);
    expect(await status(path, { method: "HEAD" })).toBe(405);
    expect(await status("/broken")).toBe(500);
    expect(asked).toEqual([]);
  });

  test("ends what it holds without a yes when it closes", async () => {
    const { asked, server, status } = await prepare();
    const answer = status(`/v1/restores/team/${uid(1)}`);
    await until(() => asked.length === 1);
    await server.close();
    expect(await answer.catch(() => 0)).not.toBe(200);
    await expect(status("/healthz")).rejects.toThrow();
  });

  test("listens on the loopback address alone", async () => {
    const { server } = await prepare();
    const refused = new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.2", port: server.port });
      socket.once("connect", () => resolve("connected"));
      socket.once("error", () => resolve("refused"));
    });
    expect(await refused).toBe("refused");
  });
});
