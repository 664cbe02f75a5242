import { describe, expect, test } from "vitest";
import { dumpFault } from "./dump-fault.ts";

describe("dumpFault()", () => {
  test.each([
    ["failed to save MemoryFile pages: write: no space left on device", "DiskFull"],
    ["checkpoint failed: no checkpointable filesystems", "ContainerEnded"],
    ["TarRootfsUpperLayer failed: failed to find process associated with container B-s", "ContainerEnded"],
    ["error loading container: file does not exist", "SandboxLost"],
    ["connecting to control server at PID 7: connection refused", "SandboxLost"],
    ['urpc method "Fs.Checkpoint" failed: EOF', "SandboxLost"],
    ["something new", "DumpFailed"],
  ])("%s is %s, and the words stay inside", (said, reason) => {
    const cause = new Error(said);
    const fault = dumpFault(said, "main", cause);
    expect(fault).toMatchObject({ reason, cause });
    expect(fault.message).not.toContain(said);
  });
});
