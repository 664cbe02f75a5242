import { describe, expect, test } from "vitest";
import { numbersOf } from "../../../test/sample-checkpoint.ts";
import { bytesOf } from "../../../test/sample-layer.ts";
import { ArchiveFault } from "../archive-fault.ts";
import { readMemoryMap } from "./memory-map.ts";

const NO_PAGES = { from: 0, to: 0 };
/** `field 1: 1`: the version. */
const VERSION = [0x08, 1];

function metadata(message: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([bytesOf(numbersOf([message.length])), message]));
}

function faultOf(message: Uint8Array): string {
  try {
    readMemoryMap(metadata(message), NO_PAGES);
  } catch (error) {
    if (error instanceof ArchiveFault) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "taken";
}

describe("readMemoryMap()", () => {
  test("stops at the first range that is wrong: how many follow is for a kernel to choose", () => {
    // An empty range, then one that is cut: whoever collects all of them first finds the second.
    const message = Uint8Array.from([...VERSION, 0x1a, 0, 0x1a, 0x7f]);
    expect(faultOf(message)).toBe("damaged: the checkpoint's metadata of pages has ranges that are not in order");
    expect(faultOf(Uint8Array.from([...VERSION, 0x1a, 0x7f]))).toBe(
      "damaged: the checkpoint has a message that is cut",
    );
  });

  test("refuses a range with more than a range has, and ranges of a version that it does not know", () => {
    const long = new Uint8Array(300).fill(0x08).map((byte, index) => (index % 2 === 0 ? byte : 1));
    const range = Uint8Array.from([...VERSION, 0x1a, 0xac, 0x02, ...long]);
    expect(faultOf(range)).toContain("damaged: the checkpoint's metadata of pages has a range with more");
    expect(faultOf(Uint8Array.from([0x08, 2, 0x1a, 0]))).toBe("unsupported: the checkpoint's pages are of version 2");
    expect(faultOf(Uint8Array.from([]))).toBe("unsupported: the checkpoint's pages are of version 0");
  });
});
