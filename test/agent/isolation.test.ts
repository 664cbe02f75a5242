import { afterAll, beforeAll, expect, test } from "vitest";
import { AGENT_CAPABILITIES } from "#sidecar/manifest.ts";
import { isolationCases } from "./isolation-cases.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

const BASE = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SYS_CHROOT"];
let sandbox: AgentSandbox;

beforeAll(async () => {
  sandbox = await startSandbox({
    targets: [
      // Neither set holds the other: then the kernel lets neither look into the other's processes.
      { name: "main", capabilities: [...BASE, "CAP_MKNOD"] },
      { name: "side", capabilities: [...BASE, "CAP_AUDIT_WRITE"] },
      { name: "plain", capabilities: [], user: { uid: 1000, gid: 1000 }, noNewPrivileges: true },
    ],
  });
  for (const container of ["side", "plain"])
    await sandbox.fetch(`/v1/files?container=${container}&path=/secret`, { method: "PUT", body: "of the sibling" });
}, 60_000);
afterAll(async () => sandbox?.[Symbol.asyncDispose]());

isolationCases(() => sandbox);

test("the agent's capabilities hold those that containers have by default", () => {
  expect(AGENT_CAPABILITIES).toContain("CAP_SYS_PTRACE");
});
