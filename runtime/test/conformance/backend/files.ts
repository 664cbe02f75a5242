import { describe, expect, it } from "vitest";
import { CASE_TIMEOUT_MS, type Bench } from "../backend-harness.ts";

export function fileCases(bench: () => Bench): void {
  describe("files", { timeout: CASE_TIMEOUT_MS }, () => {
    it.each([
      { what: "text in new directories", path: "/data/a/b/file.txt", body: "hello" },
      { what: "an empty file", path: "/tmp/empty", body: "" },
      { what: "a name with spaces and signs", path: "/tmp/a b+c%20%2F&?.txt", body: "x" },
      { what: "a path relative to the working directory", path: "relative.txt", body: "x" },
      { what: "a path that needs cleaning", path: "//tmp/./x/../cleaned", body: "x" },
    ])("are written and read back: $what", async ({ path, body }) => {
      const { agent } = await bench().running();
      expect((await agent.put(path, body)).status).toBe(204);
      const response = await agent.get(path);
      expect([response.status, await response.text()]).toEqual([200, body]);
    });

    it("are seen by commands, and commands' files by reads", async () => {
      const { agent } = await bench().running();
      await agent.put("/tmp/in", "from outside");
      expect((await agent.run(["cat", "/tmp/in"])).stdout).toBe("from outside");
      await agent.run(["sh", "-c", "echo inside > /tmp/out"]);
      expect(await (await agent.get("/tmp/out")).text()).toBe("inside\n");
    });

    it("are replaced whole", async () => {
      const { agent } = await bench().running();
      await agent.put("/tmp/f", "a long first content");
      await agent.put("/tmp/f", "short");
      expect(await (await agent.get("/tmp/f")).text()).toBe("short");
    });

    it.each([
      { path: "/no/such/file", slug: "file-not-found" },
      { path: "/tmp", slug: "not-a-file" },
    ])("that cannot be read are refused: $path", async ({ path, slug }) => {
      const { agent } = await bench().running();
      expect((await agent.problem(`/v1/files?${new URLSearchParams({ path })}`)).type).toContain(slug);
    });

    it("below a regular file cannot be written", async () => {
      const { agent } = await bench().running();
      await agent.put("/tmp/file", "x");
      const response = await agent.put("/tmp/file/below", "y");
      expect(response.status).toBe(400);
    });

    it("whose upload is cut are not written, the old content stays", async () => {
      const { agent } = await bench().running();
      await agent.put("/tmp/kept", "old");
      const stop = new AbortController();
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          controller.enqueue(new Uint8Array(1000));
          stop.abort();
        },
      });
      const cut = agent.send("/v1/files?path=/tmp/kept", { method: "PUT", body, duplex: "half", signal: stop.signal });
      await cut.then(
        (response) => response.body?.cancel(),
        () => undefined,
      );
      expect(await (await agent.get("/tmp/kept")).text()).toBe("old");
    });
  });
}
