import { describe, expect, it } from "vitest";
import { serveStatus } from "./serve-status.ts";

describe("serveStatus()", () => {
  it("answers its paths, and refuses others, other methods and failed answers", async () => {
    const server = await serveStatus(
      { hostname: "127.0.0.1", port: 0 },
      {
        "/readyz": () => ({ status: 503, text: "not yet\n" }),
        "/metrics": async () => ({ status: 200, text: "m 1\n", contentType: "text/plain; version=0.0.4" }),
        "/broken": () => {
          throw new Error("a fault");
        },
      },
    );
    const ask = async (path: string, method = "GET") => {
      const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
      return [response.status, await response.text(), response.headers.get("content-type")];
    };
    expect(await ask("/readyz?verbose")).toEqual([503, "not yet\n", "text/plain; charset=utf-8"]);
    expect(await ask("/metrics")).toEqual([200, "m 1\n", "text/plain; version=0.0.4"]);
    expect((await ask("/broken"))[0]).toBe(500);
    expect((await ask("/constructor"))[0]).toBe(404);
    expect((await ask("/metrics", "POST"))[0]).toBe(405);
    await server.close();
  });
});
