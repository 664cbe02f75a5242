import { expect, it } from "vitest";
import { Problem } from "#api/problem.ts";
import { VersionInfo } from "#api/system.ts";
import type { HttpClient } from "../http-client.ts";

export function systemCases(client: () => HttpClient): void {
  it.each(["/health", "/healthz", "/ready", "/readyz"])("answers %s", async (path) => {
    const answer = await client().send(path);
    expect([answer.status, await answer.json()]).toEqual([200, { status: "ok" }]);
  });

  it("answers probes, which address it by any name, and those alone", async () => {
    const statuses = ["/healthz", "/readyz", "/v1/sandboxes"].map(async (path) => {
      const socket = await client().raw(`GET ${path} HTTP/1.1\nHost: 10.9.8.7:8080\nConnection: close\n\n`);
      return (await new Response(socket as never).text()).slice(9, 12);
    });
    expect(await Promise.all(statuses)).toEqual(["200", "200", "403"]);
  });

  it("tells its version", async () => {
    expect(VersionInfo.safeParse(await (await client().send("/version")).json()).success).toBe(true);
  });

  it("serves its OpenAPI document and a page that loads nothing", async () => {
    const document = (await (await client().send("/openapi.json")).json()) as { openapi: string; paths: object };
    expect([document.openapi, "/v1/sandboxes" in document.paths]).toEqual(["3.1.0", true]);
    const page = await client().send("/docs");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(await page.text()).not.toMatch(/<script|src=|https?:\/\/(?!www\.apache)/);
  });

  it.each([
    { method: "GET", path: "/nowhere", status: 404 },
    { method: "GET", path: "/v1/sandboxes/", status: 404 },
    { method: "GET", path: "//v1/sandboxes", status: 404 },
    { method: "PUT", path: "/v1/sandboxes", status: 405 },
    { method: "PATCH", path: "/v1/sandboxes/abc", status: 405 },
  ])("answers $method $path with a problem, never a redirect", async ({ method, path, status }) => {
    const answer = await client().send(path, { method, redirect: "manual" });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(Problem.parse(await answer.json())).toMatchObject({ status });
    expect(answer.headers.get("allow") !== null).toBe(status === 405);
  });

  it("answers HEAD like GET, without a body", async () => {
    const answer = await client().send("/version", { method: "HEAD" });
    expect([answer.status, await answer.text()]).toEqual([200, ""]);
    expect((await client().send("/v1/sandboxes/absent", { method: "HEAD" })).status).toBe(404);
  });

  it("names each request, with the caller's name if it is one", async () => {
    const given = await client().send("/health", { headers: { "X-Request-Id": "my-request.1" } });
    expect(given.headers.get("x-request-id")).toBe("my-request.1");
    const odd = await client().send("/health", { headers: { "X-Request-Id": "not a name" } });
    expect(odd.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("refuses large headers", async () => {
    const answer = await client().send("/health", { headers: { "X-Large": "x".repeat(20_000) } });
    expect(answer.status).toBe(431);
  });

  it.each([
    { Host: "rebound.example" },
    { Origin: "http://evil.example" },
    { Origin: "null" },
    { Origin: "http://127.0.0.1:1" },
    { "Sec-Fetch-Site": "cross-site" },
  ])("refuses what a web page could send: %j", async (headers) => {
    const lines = Object.entries({ Host: "localhost", ...headers }).map(([name, value]) => `${name}: ${value}`);
    const socket = await client().raw(`GET /v1/sandboxes HTTP/1.1\n${lines.join("\n")}\nConnection: close\n\n`);
    const text = await new Response(socket as never).text();
    expect(text).toMatch(/^HTTP\/1\.1 403 /);
    expect(text).toContain("forbidden-origin");
  });
}
