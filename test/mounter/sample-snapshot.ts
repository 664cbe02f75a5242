import { createHash } from "node:crypto";
import type { LayerSource } from "#mounter/domain/archive.ts";
import type { PublishRequest } from "#mounter/node/snapshot/publish-snapshot.ts";

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A layer that is not packed: what the engine moves need not be an archive. */
export function sampleLayer(bytes: Uint8Array, chunkBytes = 1 << 16): LayerSource {
  const [digest, size] = [digestOf(bytes), bytes.length];
  return {
    entries: 1,
    open: () => ({
      chunks: (async function* () {
        for (let at = 0; at < size; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
      })(),
      sums: () => ({ digest, bytes: size, tarDigest: digest, tarBytes: size }),
    }),
  };
}

export interface SampleWrite {
  readonly namespace?: string;
  readonly name?: string;
  readonly writeId: string;
  /** Seconds within a minute; orders writes. */
  readonly second?: number;
  readonly bytes: Uint8Array;
  readonly below?: PublishRequest["below"];
}

export function sampleRequest(write: SampleWrite): PublishRequest {
  const { namespace = "team", name = "work", writeId, second = 0, bytes, below = [] } = write;
  return {
    facts: {
      writeId,
      namespace,
      name,
      createdAt: `2026-11-22T10:00:${String(second).padStart(2, "0")}Z`,
      sandboxName: "box",
      containerName: "main",
      base: { image: "debian:13" },
      runtime: { name: "runsc", version: "release-20260905.0" },
      warnings: [],
    },
    below,
    layer: sampleLayer(bytes),
  };
}
