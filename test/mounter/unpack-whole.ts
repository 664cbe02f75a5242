import { zstdDecompressSync } from "node:zlib";
import { createFrameScanner } from "#mounter/archive/zstd-frame.ts";

/** All that a packed layer holds: Node's own decoder stops at the end of the first frame. */
export function unpackWhole(packed: Uint8Array): Buffer<ArrayBuffer> {
  const scanner = createFrameScanner({ mostWindowBytes: Number.MAX_SAFE_INTEGER });
  const parts: Buffer[] = [];
  for (let at = 0; at < packed.length;) {
    const end = scanner.scan(packed, at);
    if (end === undefined) throw new Error("The layer is cut");
    parts.push(zstdDecompressSync(packed.subarray(at, end)));
    at = end;
  }
  return Buffer.concat(parts);
}
