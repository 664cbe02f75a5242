import { describe, expect, test } from "vitest";
import type { Image } from "./image.ts";
import { checkUpperMemory } from "./restore-memory.ts";

const MIB = 2 ** 20;
const image: Image = {
  digest: "sha256:aa",
  erofsPath: "/i/aa.erofs",
  emptyRootDir: "/i/empty",
  sizeBytes: 1,
  config: {
    entrypoint: [],
    cmd: [],
    env: {},
    workingDir: "/",
    user: { uid: 0, gid: 0, additionalGids: [], home: "/" },
  },
};
const withUpper = (bytes: number): Image => ({ ...image, upperTar: { path: "/i/aa.upper.tar", bytes } });

describe("checkUpperMemory()", () => {
  test.each([
    ["nothing above", image, 16 * MIB],
    ["little above", withUpper(MIB), 64 * MIB],
    ["much above, and no limit", withUpper(200 * MIB), undefined],
    ["much above, and a limit that is large enough", withUpper(100 * MIB), 284 * MIB],
  ])("lets a root with %s start", (_, root, memoryBytes) => {
    expect(() => checkUpperMemory("a", root, memoryBytes === undefined ? {} : { memoryBytes })).not.toThrow();
  });

  test("refuses one that would end the sandbox, with both numbers", () => {
    expect(() => checkUpperMemory("a", withUpper(100 * MIB), { memoryBytes: 283 * MIB })).toThrow(
      expect.objectContaining({
        reason: "RootfsRestoreConfigurationError",
        message: `The snapshot of container "a" has ${100 * MIB} bytes in files with extended attributes; restoring them needs ${284 * MIB} bytes of memory, and the sandbox's limit is ${283 * MIB}.`,
      }) as Error,
    );
  });
});
