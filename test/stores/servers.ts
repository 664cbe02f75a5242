import type { ContainerClient } from "@azure/storage-blob";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "#core/clock.ts";
import type { StoreCredentials } from "#mounter/storage/store-credentials.ts";
import { openStore, type OpenStoreOptions } from "#mounter/storage/node/open-store.ts";
import type { ObjectStore } from "#mounter/storage/port.ts";
import type { UploadRules } from "#mounter/storage/driver.ts";
import { freePort } from "../harness/free-ports.ts";
import { startGcsSessions } from "./gcs-sessions.ts";
import { startLogged, type LoggedProcess } from "../harness/logged-process.ts";

export type ServerKind = "s3" | "gcs" | "azure";

/** A real server of one kind of store, with an empty bucket. */
export interface StoreServer {
  readonly kind: ServerKind;
  readonly origin: string;
  readonly credentials: StoreCredentials;
  /** URL of the bucket below a prefix, as reached at an origin. */
  url(origin: string, prefix: string): string;
  /** Where the server keeps what it keeps on disk. */
  readonly dataFolder: string;
  /** Ends the process as a crash does; what it has on disk stays. */
  kill(): Promise<void>;
  /** Starts it again at the same address. */
  start(): Promise<void>;
  end(): Promise<void>;
}

/** Parts as small as each kind allows, so that little data makes many. */
export const SMALL_PARTS: Readonly<Record<ServerKind | "folder", Partial<UploadRules>>> = {
  folder: { partBytes: 1 << 16 },
  s3: { partBytes: 5 << 20 },
  gcs: { partBytes: 1 << 19 },
  azure: { partBytes: 1 << 18 },
};

const BUCKET = "snapshots";
/** Of every Azurite: an account of no worth. */
const ACCOUNT = {
  name: "devstoreaccount1",
  key: Buffer.from("a key of sixty-four bytes for a server that lives for one test..").toString("base64"),
};
/** Of the S3 server. */
export const S3_KEYS = { AWS_ACCESS_KEY_ID: "tester", AWS_SECRET_ACCESS_KEY: "a-secret-of-one-test" };
const READY_WITHIN_MS = 20_000;
const PROGRAMS = join(process.env["ATOLL_TESTBED_HOME"] ?? "/var/lib/atoll/testbed", "bin");

export async function startServer(kind: ServerKind): Promise<StoreServer> {
  const folder = await mkdtemp(join(tmpdir(), `atoll-${kind}-`));
  const data = join(folder, "data");
  await mkdir(data);
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const server = describeServer(kind, { data, port });
  const log = { logPath: join(folder, "log"), env: { ...process.env, ...server.env }, cwd: folder };
  let running: LoggedProcess | undefined;
  const kill = async (): Promise<void> => running?.end("SIGKILL");
  const end = async (): Promise<void> => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  };
  const start = async (): Promise<void> => {
    running = startLogged(server.command, log);
    await untilAnswers(server.command[0] ?? "", origin, running);
  };
  try {
    await start();
  } catch (error) {
    await end();
    throw error;
  }
  await server.makeBucket(origin);
  const { credentials, url } = server;
  const common = { kind, credentials, url, dataFolder: data, kill, start };
  if (kind !== "gcs") return { ...common, origin, end };
  const sessions = await startGcsSessions(origin);
  return {
    ...common,
    origin: sessions.origin,
    async end() {
      await sessions.close();
      await end();
    },
  };
}

async function untilAnswers(name: string, origin: string, running: LoggedProcess): Promise<void> {
  const lastMs = Date.now() + READY_WITHIN_MS;
  while ((await statusOf(origin)) === undefined) {
    const ending = running.ending();
    if (ending !== undefined || Date.now() > lastMs)
      throw new Error(`${name} did not start (${ending ?? "no answer"}): ${running.log().slice(-2000)}`);
    await systemClock.sleep(20);
  }
}

interface Description extends Pick<StoreServer, "credentials" | "url"> {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly makeBucket: (origin: string) => Promise<void>;
}

function describeServer(kind: ServerKind, { data, port }: { data: string; port: number }): Description {
  switch (kind) {
    case "s3":
      return {
        command: [join(PROGRAMS, "versitygw"), "--port", `127.0.0.1:${port}`, "--quiet", "--keep-alive", "posix", data],
        env: { ROOT_ACCESS_KEY_ID: S3_KEYS.AWS_ACCESS_KEY_ID, ROOT_SECRET_ACCESS_KEY: S3_KEYS.AWS_SECRET_ACCESS_KEY },
        credentials: { kind: "inline", values: S3_KEYS },
        url: s3Url,
        makeBucket: () => mkdir(join(data, BUCKET)),
      };
    case "gcs":
      return {
        command: [
          join(PROGRAMS, "fake-gcs-server"),
          "-scheme=http",
          "-host=127.0.0.1",
          `-port=${port}`,
          `-public-host=127.0.0.1:${port}`,
          "-backend=memory",
          "-log-level=error",
        ],
        env: {},
        credentials: { kind: "none" },
        url: (origin, prefix) => `gs://${BUCKET}/${prefix}?endpoint=${origin}`,
        makeBucket: async (origin) => {
          const headers = { "content-type": "application/json" };
          const body = JSON.stringify({ name: BUCKET });
          const made = await fetch(`${origin}/storage/v1/b?project=test`, { method: "POST", headers, body });
          if (!made.ok) throw new Error(`No bucket: ${made.status}`);
        },
      };
    case "azure": {
      const azurite = createRequire(import.meta.url).resolve("azurite/dist/src/blob/main.js");
      return {
        command: [
          process.execPath,
          azurite,
          "--blobPort",
          String(port),
          "--location",
          data,
          "--silent",
          "--disableTelemetry",
          "--skipApiVersionCheck",
        ],
        env: { AZURITE_ACCOUNTS: `${ACCOUNT.name}:${ACCOUNT.key}` },
        credentials: { kind: "inline", values: { AZURE_STORAGE_KEY: ACCOUNT.key } },
        url: (origin, prefix) =>
          `azblob://${BUCKET}/${prefix}?account=${ACCOUNT.name}&endpoint=${origin}/${ACCOUNT.name}`,
        makeBucket: async (origin) => {
          await (await azureContainer(origin)).create();
        },
      };
    }
  }
}

/** Opens the bucket to whoever asks, as far as the kind allows: S3's may not upload in parts, Azure's only read. */
export async function letEverybodyIn({ kind, origin }: StoreServer): Promise<void> {
  if (kind === "s3") {
    const { PutBucketPolicyCommand, S3Client } = await import("@aws-sdk/client-s3");
    const credentials = { accessKeyId: S3_KEYS.AWS_ACCESS_KEY_ID, secretAccessKey: S3_KEYS.AWS_SECRET_ACCESS_KEY };
    const client = new S3Client({ region: "us-east-1", endpoint: origin, forcePathStyle: true, credentials });
    const Resource = [`arn:aws:s3:::${BUCKET}`, `arn:aws:s3:::${BUCKET}/*`];
    const Statement = [{ Effect: "Allow", Principal: "*", Action: "s3:*", Resource }];
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
    await client.send(new PutBucketPolicyCommand({ Bucket: BUCKET, Policy }));
    client.destroy();
  }
  if (kind === "azure") await (await azureContainer(origin)).setAccessPolicy("container");
}

async function azureContainer(origin: string): Promise<ContainerClient> {
  const { BlobServiceClient, StorageSharedKeyCredential } = await import("@azure/storage-blob");
  const credential = new StorageSharedKeyCredential(ACCOUNT.name, ACCOUNT.key);
  return new BlobServiceClient(`${origin}/${ACCOUNT.name}`, credential).getContainerClient(BUCKET);
}

/** URL of the S3 server's bucket below a prefix, as reached at an origin. */
export function s3Url(origin: string, prefix: string): string {
  return `s3://${BUCKET}/${prefix}?region=us-east-1&path_style=true&endpoint=${origin}`;
}

let marks = 0;

/** A store as tests use it: quick to give up, in small parts. */
export function openTestStore(
  url: string,
  options: Partial<OpenStoreOptions> & Pick<OpenStoreOptions, "credentials">,
): Promise<ObjectStore> {
  return openStore(url, {
    clock: systemClock,
    random: Math.random,
    newMark: () => `${process.pid}-${(marks += 1)}`,
    ...options,
    patience: { firstPauseMs: 10, mostPauseMs: 40, ...options.patience },
  });
}

function statusOf(origin: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asking = request(origin, { timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asking.once("timeout", () => asking.destroy());
    asking.once("error", () => resolve(undefined));
    asking.end();
  });
}
