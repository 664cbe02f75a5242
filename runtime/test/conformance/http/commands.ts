import { describe, expect, it } from "vitest";
import { Problem } from "#api/problem.ts";
import type { HttpClient } from "../http-client.ts";
import type { HttpWorld } from "./world.ts";

export function commandCases(client: () => HttpClient, { faults }: HttpWorld): void {
  describe("commands", () => {
    it.each([
      { args: ["true"], exitCode: 0 },
      { args: ["sh", "-c", "exit 7"], exitCode: 7 },
      { args: ["no-such-program"], exitCode: 127 },
      { args: ["sh", "-c", "kill -9 $$"], exitCode: -1 },
    ])("tell how they ended: $args", async ({ args, exitCode }) => {
      const base = await client().sandbox();
      expect(await client().exitCode(await client().spawn(base, args))).toBe(exitCode);
    });

    it("that run have a null exit code, at once or after the wait asked for", async () => {
      const command = await client().spawn(await client().sandbox(), ["cat"]);
      for (const query of ["", "?waitSeconds=0", "?waitSeconds=1"]) {
        expect(await (await client().send(`${command}/status${query}`)).json()).toEqual({ exitCode: null });
      }
    });

    it.each(["26", "-1", "1.5", "x", "1e1"])("a wait of %s is refused", async (wait) => {
      const command = await client().spawn(await client().sandbox(), ["true"]);
      expect((await client().send(`${command}/status?waitSeconds=${wait}`)).status).toBe(422);
    });

    it("take standard input until it is closed", async () => {
      const command = await client().spawn(await client().sandbox(), ["cat"]);
      const post = (action: string, body?: string): Promise<number> =>
        client()
          .send(`${command}/${action}`, { method: "POST", ...(body === undefined ? {} : { body }) })
          .then(({ status }) => status);
      expect(await post("stdin", "one ")).toBe(204);
      expect(await post("stdin")).toBe(204);
      expect(await post("stdin", "two")).toBe(204);
      expect(await post("stdin/close")).toBe(204);
      expect(await post("stdin/close")).toBe(409);
      expect(await client().exitCode(command)).toBe(0);
      expect(await post("stdin", "late")).toBe(409);
      expect(await (await client().send(`${command}/stdout`, { headers: { "Last-Event-ID": "4" } })).text()).toBe(
        "data: two\nid: 7\n\n",
      );
    });

    it("take standard input as a stream, piece by piece", async () => {
      const command = await client().spawn(await client().sandbox(), ["cat"]);
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const posting = client().send(`${command}/stdin`, {
        method: "POST",
        body: readable,
        duplex: "half",
      } as RequestInit);
      const writer = writable.getWriter();
      await writer.write(new TextEncoder().encode("first"));
      const output = (await client().send(`${command}/stdout`)).body!.getReader();
      const { value } = await output.read();
      expect(new TextDecoder().decode(value)).toBe("data: first\nid: 5\n\n");
      await writer.close();
      expect((await posting).status).toBe(204);
      await output.cancel();
    });

    it("are killed, keep their output, and can be killed again", async () => {
      const command = await client().spawn(await client().sandbox(), ["sh", "-c", "echo kept; sleep 1000"]);
      const output = (await client().send(`${command}/stdout`)).body!.getReader();
      await output.read();
      expect((await client().send(command, { method: "DELETE" })).status).toBe(204);
      expect(await client().exitCode(command)).toBe(-1);
      expect((await client().send(command, { method: "DELETE" })).status).toBe(204);
      expect(await (await client().send(`${command}/stdout`)).text()).toContain("data: kept");
      await output.cancel();
    });

    it("have a timeout", async () => {
      const command = await client().spawn(await client().sandbox(), ["sleep", "1000"], { timeoutSeconds: 1 });
      expect(await client().exitCode(command)).toBe(-1);
    });

    it.each([
      { body: {}, status: 422 },
      { body: { args: [] }, status: 422 },
      { body: { args: ["a\0b"] }, status: 422 },
      { body: { args: ["true"], env: { "A=B": "x" } }, status: 422 },
      { body: { args: ["true"], timeoutSeconds: 0 }, status: 422 },
      { body: { args: ["true"], shell: true }, status: 422 },
      { body: { args: ["true"], cwd: "/no/such" }, status: 400 },
    ])("are refused: $body", async ({ body, status }) => {
      const base = await client().sandbox();
      expect((await client().sendJson(`${base}/commands`, body)).status).toBe(status);
    });

    it("need a container's name when there are several", async () => {
      const base = await client().sandbox({
        podTemplate: { containers: [{ image: "atoll/debian" }, { image: "atoll/debian" }] },
      });
      const spawn = (query: string): Promise<number> =>
        client()
          .sendJson(`${base}/commands${query}`, { args: ["true"] })
          .then(({ status }) => status);
      expect(await spawn("")).toBe(400);
      expect(await spawn("?container=other")).toBe(400);
      expect(await spawn("?container=Not_a_label")).toBe(422);
      expect(await spawn("?container=sandbox1")).toBe(202);
    });

    it("with a key are started once; another request with it is a mismatch", async () => {
      const base = await client().sandbox();
      const headers = { "Idempotency-Key": "key-1" };
      const answers = [1, 2].map(() =>
        client()
          .sendJson(`${base}/commands`, { args: ["true"] }, headers)
          .then((answer) => answer.json()),
      );
      const [first, second] = await Promise.all(answers);
      expect(first).toEqual(second);
      expect((await client().sendJson(`${base}/commands`, { args: ["false"] }, headers)).status).toBe(422);
    });

    it("that are not there are 404, in a sandbox that has ended 409", async () => {
      const base = await client().sandbox();
      const unknown = `${base}/commands/${crypto.randomUUID()}`;
      for (const [method, path] of [
        ["GET", "/status"],
        ["GET", "/stdout"],
        ["DELETE", ""],
        ["POST", "/stdin"],
        ["POST", "/stdin/close"],
      ] as const) {
        expect((await client().send(`${unknown}${path}`, { method })).status).toBe(404);
      }
      const ended = await client().sandbox(client().sandboxBody({ command: ["true"] }));
      expect((await client().sendJson(`${ended}/commands`, { args: ["true"] })).status).toBe(409);
    });

    it.each(faults.filter(({ forgets }) => forgets))(
      "whose end nobody saw are unknown, never 0: $name",
      async (fault) => {
        const base = await client().sandbox();
        const command = await client().spawn(base, ["sleep", "1000"]);
        await fault.inflict(client(), base);
        for (const path of ["status", "stdout", "stderr"]) {
          const answer = await client().send(`${command}/${path}`);
          expect([answer.status, Problem.parse(await answer.json()).type]).toEqual([
            409,
            "urn:atoll:problem:outcome-unknown",
          ]);
        }
      },
    );
  });
}
