import { describe, expect, it } from "vitest";
import { CASE_TIMEOUT_MS, type Bench } from "../backend-harness.ts";

export function commandCases(bench: () => Bench): void {
  describe("commands", { timeout: CASE_TIMEOUT_MS }, () => {
    it.each([
      { args: ["echo", "hello"], exitCode: 0, stdout: "hello\n", stderr: "" },
      { args: ["sh", "-c", "echo out; echo err >&2; exit 7"], exitCode: 7, stdout: "out\n", stderr: "err\n" },
      { args: ["printf", "\\000\\377\\r\\n"], exitCode: 0, stdout: "\0\ufffd\r\n", stderr: "" },
      { args: ["sh", "-c", "kill -9 $$"], exitCode: -1, stdout: "", stderr: "" },
      { args: ["sh", "-c", "exit 0"], exitCode: 0, stdout: "", stderr: "" },
    ])("run to their end: $args", async ({ args, ...expected }) => {
      const { agent } = await bench().running();
      expect(await agent.run(args)).toEqual(expected);
    });

    it("a program that does not exist exits with 127 and says so", async () => {
      const { agent } = await bench().running();
      const finished = await agent.run(["no-such-program"]);
      expect(finished.exitCode).toBe(127);
      expect(finished.stderr).toContain("no-such-program");
    });

    it("have the container's environment, the request's over it, and no marker", async () => {
      const { running, spec } = bench();
      const { agent } = await running(spec({ env: { FROM_SPEC: "a", BOTH: "spec" } }));
      const { stdout } = await agent.run(["env"], { env: { BOTH: "request", FROM_REQUEST: "b" } });
      expect(stdout.split("\n")).toEqual(expect.arrayContaining(["FROM_SPEC=a", "BOTH=request", "FROM_REQUEST=b"]));
      expect(stdout).not.toContain("ISOLA_CONTAINER_NAME");
    });

    it("run in the directory asked for; one that is not there is a bad request", async () => {
      const { agent } = await bench().running();
      expect((await agent.run(["pwd"], { cwd: "/tmp" })).stdout).toBe("/tmp\n");
      const body = JSON.stringify({ id: crypto.randomUUID(), args: ["pwd"], cwd: "/no/such" });
      expect((await agent.problem("/v1/commands", { method: "POST", body })).status).toBe(400);
    });

    it("keep standard input open until it is closed", async () => {
      const { agent } = await bench().running();
      const id = await agent.spawn(["cat"]);
      expect(await agent.stdin(id, "one\n")).toBe(204);
      expect(await agent.stdin(id, "two\n")).toBe(204);
      expect((await agent.status(id, 100)).state).toBe("running");
      expect(await agent.closeStdin(id)).toBe(204);
      expect(await agent.closeStdin(id)).toBe(409);
      expect(await agent.stdin(id, "late")).toBe(409);
      expect(await agent.status(id, 20_000)).toMatchObject({ state: "exited", exitCode: 0 });
      expect(await agent.text(id, "stdout")).toBe("one\ntwo\n");
    });

    it("a repeat with the same id and body is the same command; another body is a mismatch", async () => {
      const { agent } = await bench().running();
      const id = await agent.spawn(["echo", "once"]);
      expect(await agent.spawn(["echo", "once"], { id })).toBe(id);
      await agent.status(id, 20_000);
      expect(await agent.text(id, "stdout")).toBe("once\n");
      const body = JSON.stringify({ id, args: ["echo", "other"] });
      expect((await agent.problem("/v1/commands", { method: "POST", body })).type).toContain("idempotency-mismatch");
    });

    it("a killed command ends with -1 at once, keeps its output, and can be killed again", async () => {
      const { agent } = await bench().running();
      const id = await agent.spawn(["sh", "-c", "echo before; sleep 1000"]);
      while ((await agent.status(id, 0)).stdout.end < "before\n".length);
      expect(await agent.kill(id)).toBe(204);
      expect(await agent.status(id, 20_000)).toMatchObject({ state: "exited", exitCode: -1, endedBy: "kill" });
      expect(await agent.kill(id)).toBe(204);
      expect(await agent.text(id, "stdout")).toBe("before\n");
    });

    it("a timeout kills", async () => {
      const { agent } = await bench().running();
      const id = await agent.spawn(["sleep", "1000"], { timeoutMs: 200 });
      expect(await agent.status(id, 20_000)).toMatchObject({ state: "exited", exitCode: -1, endedBy: "timeout" });
    });

    it("a survivor in the background does not hold the end back", async () => {
      const { agent } = await bench().running();
      expect(await agent.run(["sh", "-c", "sleep 1000 & echo done"])).toMatchObject({ exitCode: 0, stdout: "done\n" });
    });

    it("output can be read from any byte, again and again, after the end", async () => {
      const { agent } = await bench().running();
      const id = await agent.spawn(["seq", "1", "100000"]);
      await agent.status(id, 20_000);
      const whole = Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join("");
      expect(await agent.text(id, "stdout")).toBe(whole);
      const tail = await agent.read(id, "stdout", whole.length - 7);
      expect(new TextDecoder().decode(tail.bytes)).toBe("100000\n");
      expect(tail.end).toBe(whole.length);
      expect((await agent.read(id, "stdout", whole.length)).bytes).toHaveLength(0);
      expect((await agent.read(id, "stderr")).end).toBe(0);
    });

    it("output is followed while it is written", async () => {
      const { agent } = await bench().running();
      const id = await agent.spawn(["cat"]);
      const reading = agent.read(id, "stdout");
      await agent.stdin(id, "a");
      await agent.stdin(id, "b");
      await agent.closeStdin(id);
      const { bytes, end } = await reading;
      expect([new TextDecoder().decode(bytes), end]).toEqual(["ab", 2]);
    });

    it("64 at once are all run and none is lost", async () => {
      const { agent } = await bench().running();
      const results = await Promise.all(
        Array.from({ length: 64 }, (_, i) => agent.run(["sh", "-c", `echo ${i}; exit ${i}`])),
      );
      expect(results.map(({ stdout, exitCode }) => [stdout, exitCode])).toEqual(
        Array.from({ length: 64 }, (_, i) => [`${i}\n`, i]),
      );
    });

    it("of an unknown id are not found", async () => {
      const { agent } = await bench().running();
      const path = `/v1/commands/${crypto.randomUUID()}`;
      for (const [method, suffix] of [
        ["GET", ""],
        ["DELETE", ""],
        ["GET", "/stdout"],
        ["POST", "/stdin"],
        ["POST", "/stdin/close"],
      ] as const) {
        expect((await agent.problem(`${path}${suffix}`, { method })).type).toContain("command-not-found");
      }
    });

    it("whose agent died while they ran have an unknown outcome, never 0", async () => {
      const { restartAgent, running } = bench();
      const { agent, sandbox } = await running();
      const id = await agent.spawn(["sh", "-c", "echo before; sleep 1000"]);
      const done = await agent.spawn(["echo", "done"]);
      await agent.status(done, 20_000);
      await restartAgent(sandbox.id);
      expect(await agent.status(id, 1000)).toMatchObject({ state: "unknown", exitCode: null });
      expect((await agent.read(id, "stdout")).end).toBe("lost");
    });
  });

  describe("containers", { timeout: CASE_TIMEOUT_MS }, () => {
    it("have a root and an environment of their own, and must be named when there are several", async () => {
      const { running, spec, image } = bench();
      const containers = [
        { name: "first", image, env: { WHO: "1" } },
        { name: "second", image, env: { WHO: "2" } },
      ];
      const { agent } = await running(spec({}, { containers }));
      expect((await agent.run(["printenv", "WHO"], { container: "second" })).stdout).toBe("2\n");
      expect((await agent.put("/root-of-first", "x", "first")).status).toBe(204);
      expect((await agent.get("/root-of-first", "second")).status).toBe(404);
      const body = JSON.stringify({ id: crypto.randomUUID(), args: ["true"] });
      expect((await agent.problem("/v1/commands", { method: "POST", body })).type).toContain("container-required");
      expect((await agent.problem("/v1/commands?container=third", { method: "POST", body })).type).toContain(
        "unknown-container",
      );
    });
  });
}
