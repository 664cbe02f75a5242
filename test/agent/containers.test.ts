import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../harness/until.ts";
import { exec, problemOf } from "./client.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

let sandbox: AgentSandbox;

beforeAll(async () => {
  const main = "sleep 1.5; export LATER=yes; cd /tmp; exec sleep infinity";
  sandbox = await startSandbox({ targets: [{ name: "main", args: ["/bin/sh", "-c", main] }] });
}, 60_000);
afterAll(async () => sandbox?.[Symbol.asyncDispose]());

test("a command has the environment and the directory that the main process has now, whatever it was before", async () => {
  const look = ["sh", "-c", "echo $LATER; pwd; printenv PWD"];
  expect((await exec(sandbox, look)).stdout).toBe("\n/\n/\n");
  const later = await until(
    () => exec(sandbox, look),
    ({ stdout }) => stdout.startsWith("yes"),
  );
  expect(later.stdout).toBe("yes\n/tmp\n/tmp\n");
});

test("a command may start in the root of its container, by any name of it", async () => {
  for (const cwd of ["/", "//", "/usr/..", "../../.."])
    expect((await exec(sandbox, ["pwd"], { cwd })).stdout).toBe("/\n");
});

test("the first program of PATH is taken, and one that was put before it later", async () => {
  expect((await exec(sandbox, ["tac", "/dev/null"])).exitCode).toBe(0);
  await exec(sandbox, [
    "sh",
    "-c",
    "printf '#!/bin/sh\\nexit 9\\n' > /usr/local/bin/tac; chmod 755 /usr/local/bin/tac",
  ]);
  expect((await exec(sandbox, ["tac", "/dev/null"])).exitCode).toBe(9);
  await exec(sandbox, ["chmod", "644", "/usr/local/bin/tac"]);
  expect((await exec(sandbox, ["tac", "/dev/null"])).exitCode).toBe(0);
});

test("a command starts with no signal ignored, blocked or handled", async () => {
  const { stdout } = await exec(sandbox, ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"]);
  const words = stdout.split("\n").filter((line) => line !== "");
  expect(words.every((line) => /:\s*0+$/.test(line))).toBe(true);
  const probe =
    "import signal; print([s.name for s in signal.Signals if signal.getsignal(s) is signal.SIG_IGN], signal.pthread_sigmask(0, []))";
  const python = await exec(sandbox, ["python3", "-c", probe]);
  // Python itself ignores these two.
  expect(python.stdout).toBe("['SIGPIPE', 'SIGXFSZ'] set()\n");
});

test("a command for a container whose main process is just becoming its program waits for it", async () => {
  const become = "/bin/sleep 0.1; export ISOLA_CONTAINER_NAME=late; exec /bin/sleep infinity";
  await sandbox.addTarget({ name: "late", isBare: true, args: ["/bin/sh", "-c", become] });
  expect((await exec(sandbox, ["/bin/echo", "there"], { container: "late" })).stdout).toBe("there\n");
});

test("where no container runs any more, the request is not called wrong", async () => {
  await using empty = await startSandbox({ targets: [] });
  const command = { id: randomUUID(), args: ["true"] };
  const answer = await empty.fetch("/v1/commands", { method: "POST", body: JSON.stringify(command) });
  expect(await problemOf(answer)).toMatchObject({ status: 409, slug: "container-ended" });
});
