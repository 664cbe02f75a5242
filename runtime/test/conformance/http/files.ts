import { describe, expect, it } from "vitest";
import type { HttpClient } from "../http-client.ts";

export function fileCases(client: () => HttpClient): void {
  const write = (base: string, path: string, body: BodyInit, init: object = {}): Promise<Response> =>
    client().send(`${base}/filesystem?${new URLSearchParams({ path })}`, { method: "POST", body, ...init });
  const read = (base: string, path: string): Promise<Response> =>
    client().send(`${base}/filesystem?${new URLSearchParams({ path })}`);

  describe("files", () => {
    it.each([
      { what: "in new directories", path: "/data/a/b.txt", body: "hello" },
      { what: "empty", path: "/tmp/empty", body: "" },
      { what: "with a name that needs encoding", path: "/tmp/a b+c%2F&=\u00e9.txt", body: "x" },
      { what: "by a relative path", path: "relative", body: "x" },
    ])("are written and read: $what", async ({ path, body }) => {
      const base = await client().sandbox();
      expect((await write(base, path, body)).status).toBe(204);
      const answer = await read(base, path);
      expect([answer.status, await answer.text()]).toEqual([200, body]);
      expect(answer.headers.get("content-type")).toBe("application/octet-stream");
      expect(answer.headers.get("cache-control")).toBe("no-cache, private");
    });

    it("of many bytes are streamed both ways, without a length too", async () => {
      const base = await client().sandbox();
      const bytes = crypto.getRandomValues(new Uint8Array(65_536));
      const large = new Blob(Array<Uint8Array<ArrayBuffer>>(160).fill(bytes));
      expect((await write(base, "/large", large.stream(), { duplex: "half" })).status).toBe(204);
      const answer = await read(base, "/large");
      // Bun and workerd send streams in chunks, whatever length they are told.
      expect([`${large.size}`, null]).toContain(answer.headers.get("content-length"));
      expect(Buffer.from(await answer.arrayBuffer()).equals(Buffer.from(await large.arrayBuffer()))).toBe(true);
    });

    it.each([
      { path: "/no/such", status: 404 },
      { path: "/tmp", status: 400 },
      { path: "", status: 422 },
      { path: "/a\0b", status: 422 },
    ])("that cannot be read: $path", async ({ path, status }) => {
      expect((await read(await client().sandbox(), path)).status).toBe(status);
    });

    it("need a path", async () => {
      expect((await client().send(`${await client().sandbox()}/filesystem`)).status).toBe(422);
    });

    it.each([
      { how: "with a length", head: "Content-Length: 1000000", body: "x".repeat(1000) },
      { how: "in chunks", head: "Transfer-Encoding: chunked", body: `3e8\n${"x".repeat(1000)}\n` },
    ])("whose upload is cut are not written: $how", async ({ head, body }) => {
      const base = await client().sandbox();
      await write(base, "/kept", "old");
      const socket = await client().raw(
        `POST ${base}/filesystem?path=/kept HTTP/1.1\nHost: localhost\n${head}\n\n${body}`,
      );
      await new Promise((resolve) => setTimeout(resolve, 100));
      socket.destroy();
      // A second whole upload ends after the gateway has seen the cut one.
      await write(base, "/other", "x");
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await (await read(base, "/kept")).text()).toBe("old");
    });

    it("for a sandbox that is not there are refused, however large", async () => {
      const statusOf = (sizeBytes: number): Promise<number | string> =>
        write("/v1/sandboxes/absent", "/x", new Blob([new Uint8Array(sizeBytes)])).then(
          ({ status }) => status,
          () => "cut",
        );
      expect(await statusOf(1)).toBe(404);
      // Who writes on after the answer may find the connection closed before having read it.
      expect([404, "cut"]).toContain(await statusOf(10 << 20));
    });
  });
}
