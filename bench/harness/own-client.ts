import { createReadStream, createWriteStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { json } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { SnapshotManifest } from "#api/snapshot-manifest.ts";
import { startServer, type StoreServer } from "../../test/stores/servers.ts";

const BUCKET = "snapshots";
/** What `aws s3 cp` does by itself with everything above this size. */
const PART_BYTES = 8 << 20;
const PARTS_AT_ONCE = 10;

/** A real S3 server on this machine, and its vendor's own client: the baseline of what goes to a store and comes from it. */
export interface OwnClient {
  /** Environment of a gateway whose snapshots lie in this store. */
  readonly env: Readonly<Record<string, string>>;
  /** In one request, which has to know the size before it begins. */
  readonly upload: (path: string, sizeBytes: number) => Promise<void>;
  /** In parts, as the vendors' commands upload what is large. */
  readonly uploadParts: (path: string, sizeBytes: number) => Promise<void>;
  readonly download: (key: string, path: string) => Promise<void>;
  /** What a snapshot added, by the key of its manifest. */
  readonly topLayer: (manifestKey: string) => Promise<{ readonly key: string; readonly bytes: number }>;
  end(): Promise<void>;
}

export async function startOwnClient(): Promise<OwnClient> {
  const server = await startServer("s3");
  const keys = keysOf(server);
  const client = new S3Client({
    endpoint: server.origin,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: keys["AWS_ACCESS_KEY_ID"] ?? "", secretAccessKey: keys["AWS_SECRET_ACCESS_KEY"] ?? "" },
  });
  const get = async (key: string): Promise<Readable> => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
    return Body as Readable;
  };
  return {
    env: { ATOLL_SNAPSHOT_STORE: server.url(server.origin, ""), ...keys },
    async upload(path, sizeBytes) {
      const Body = createReadStream(path, { highWaterMark: 1 << 20 });
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: "upload", Body, ContentLength: sizeBytes }));
    },
    async uploadParts(path, sizeBytes) {
      const of = { Bucket: BUCKET, Key: "upload" };
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(of));
      await using file = await open(path, "r");
      const Parts: { readonly ETag: string | undefined; readonly PartNumber: number }[] = [];
      const rest = Array.from({ length: Math.ceil(sizeBytes / PART_BYTES) }, (_, index) => index).values();
      const send = async (): Promise<void> => {
        for (const index of rest) {
          const Body = Buffer.alloc(Math.min(PART_BYTES, sizeBytes - index * PART_BYTES));
          await file.read(Body, 0, Body.length, index * PART_BYTES);
          const PartNumber = index + 1;
          const { ETag } = await client.send(new UploadPartCommand({ ...of, UploadId, PartNumber, Body }));
          Parts.push({ ETag, PartNumber });
        }
      };
      await Promise.all(Array.from({ length: PARTS_AT_ONCE }, send));
      const MultipartUpload = { Parts: Parts.toSorted((a, b) => a.PartNumber - b.PartNumber) };
      await client.send(new CompleteMultipartUploadCommand({ ...of, UploadId, MultipartUpload }));
    },
    async download(key, path) {
      await pipeline(await get(key), createWriteStream(path, { flush: true }));
    },
    async topLayer(manifestKey) {
      const { layers } = SnapshotManifest.parse(await json(await get(manifestKey)));
      const top = layers.at(-1);
      if (top === undefined) throw new Error(`${manifestKey} names no layer`);
      return top;
    },
    async end() {
      client.destroy();
      await server.end();
    },
  };
}

function keysOf({ credentials }: StoreServer): Readonly<Record<string, string>> {
  if (credentials.kind !== "inline") throw new Error("The server has no keys");
  return Object.fromEntries(
    Object.entries(credentials.values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
