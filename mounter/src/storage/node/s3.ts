import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { DriverUpload, StoreDriver, UploadRules, Write } from "../driver.ts";
import type { PutCondition } from "../port.ts";
import type { StoreCredentials } from "../store-credentials.ts";
import { StoreError } from "../store-error.ts";
import type { StoreLocation } from "../store-url.ts";
import { readCredentialValues } from "./credential-values.ts";
import { codeOf, faultyBody, isOwnFault, storeFault } from "./http-fault.ts";
import { createStallAgents } from "./stall-agents.ts";

const CONNECT_MS = 10_000;
/** Mounted secrets are read anew so often. */
const READ_AGAIN_MS = 60_000;
/** 78 GiB in all; parts of one size, because some servers take no others. */
export const S3_RULES: UploadRules = { parallel: 6, partBytes: 8 << 20, mostParts: 10_000 };
/** Bodies for which another thread pays. */
const LARGE_BYTES = 256 << 10;
/** User metadata of objects: who wrote it. */
const MARK = "atoll-write";
const NOBODY = "smithy.api#noAuth";
/** A scheme of its own: beside that of signatures the SDK looks for credentials before it asks who signs. */
const UNSIGNED = {
  httpAuthSchemeProvider: () => [{ schemeId: NOBODY }],
  httpAuthSchemes: [
    {
      schemeId: NOBODY,
      identityProvider: () => async () => ({}),
      signer: { sign: async <Request>(request: Request): Promise<Request> => request },
    },
  ],
};

export interface S3Options {
  readonly location: Extract<StoreLocation, { kind: "s3" }>;
  readonly credentials: StoreCredentials;
  readonly stallMs: number;
  readonly rules: UploadRules;
  readonly now: () => number;
}

/** A bucket of S3 or of a server that speaks the same. */
export function createS3Driver(options: S3Options): StoreDriver {
  const { location, rules } = options;
  const { bucket: Bucket } = location;
  const name = `s3://${Bucket}`;
  const { client, close } = createClient(options);

  const ask = async <T>(what: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw translate(what, error, signal);
    }
  };

  return {
    name,
    rules,
    async put({ key, condition, mark }, bytes, signal) {
      const input = { Bucket, Key: key, Body: bytes, ContentLength: bytes.length, Metadata: { [MARK]: mark } };
      const command = new PutObjectCommand({ ...input, ...conditionOf(condition) });
      const { ETag } = await ask(`Cannot write ${key} to ${name}`, signal, () =>
        client.send(command, { abortSignal: signal }),
      );
      return { key, sizeBytes: bytes.length, version: need(ETag, "an ETag", name) };
    },
    async begin({ key, condition, mark }, signal) {
      const what = `Cannot write ${key} to ${name}`;
      const command = new CreateMultipartUploadCommand({ Bucket, Key: key, Metadata: { [MARK]: mark } });
      const { UploadId } = await ask(what, signal, () => client.send(command, { abortSignal: signal }));
      return createUpload(
        { client, Bucket, name, ask },
        { key, condition, uploadId: need(UploadId, "an upload's id", name) },
      );
    },
    async open(key, { offset, sizeBytes, version }, signal) {
      const what = `Cannot read ${key} of ${name}`;
      const end = sizeBytes === undefined ? "" : String(offset + sizeBytes - 1);
      const isPart = offset > 0 || sizeBytes !== undefined;
      const command = new GetObjectCommand({
        Bucket,
        Key: key,
        ...(isPart ? { Range: `bytes=${offset}-${end}` } : {}),
        ...(version === undefined ? {} : { IfMatch: version }),
      });
      const answer = await ask(what, signal, () => client.send(command, { abortSignal: signal }));
      if (isPart && answer.ContentRange?.startsWith(`bytes ${offset}-`) !== true)
        throw new StoreError("invalid", `${what}: the store does not answer ranges as it should.`);
      const wholeBytes = isPart ? Number(answer.ContentRange?.split("/")[1]) : answer.ContentLength;
      const body = answer.Body as unknown as AsyncIterable<Uint8Array>;
      return {
        object: {
          key,
          sizeBytes: wholeBytes ?? 0,
          version: need(answer.ETag, "an ETag", name),
          modifiedAtMs: answer.LastModified?.getTime() ?? 0,
        },
        body: faultyBody(body, (error) => translate(what, error, signal)),
      };
    },
    async stat(key, signal) {
      const command = new HeadObjectCommand({ Bucket, Key: key });
      const answer = await ask(`Cannot look at ${key} of ${name}`, signal, () =>
        client.send(command, { abortSignal: signal }),
      );
      const modifiedAtMs = answer.LastModified?.getTime() ?? 0;
      const version = need(answer.ETag, "an ETag", name);
      return {
        object: { key, sizeBytes: answer.ContentLength ?? 0, version, modifiedAtMs },
        mark: answer.Metadata?.[MARK],
      };
    },
    async list(prefix, { limit, cursor }, signal) {
      const token = cursor === undefined ? {} : { ContinuationToken: cursor };
      const command = new ListObjectsV2Command({ Bucket, Prefix: prefix, MaxKeys: limit, ...token });
      const answer = await ask(`Cannot list ${name}/${prefix}`, signal, () =>
        client.send(command, { abortSignal: signal }),
      );
      const items = (answer.Contents ?? []).map(({ Key = "", Size = 0, ETag = "", LastModified }) => ({
        key: Key,
        sizeBytes: Size,
        version: ETag,
        modifiedAtMs: LastModified?.getTime() ?? 0,
      }));
      const next = answer.IsTruncated === true ? answer.NextContinuationToken : undefined;
      return next === undefined ? { items } : { items, next };
    },
    async remove(key, version, signal) {
      const what = `Cannot remove ${key} of ${name}`;
      const send = (extra: { IfMatch?: string }): Promise<unknown> =>
        client.send(new DeleteObjectCommand({ Bucket, Key: key, ...extra }), { abortSignal: signal });
      if (version === undefined) return ask(what, signal, () => absentIsDone(send({})));
      // Some servers pass over the condition of a removal: the look before it narrows what that can do.
      const head = new HeadObjectCommand({ Bucket, Key: key, IfMatch: version });
      await ask(what, signal, () =>
        absentIsDone(client.send(head, { abortSignal: signal }).then(() => removeIf(send, version))),
      );
    },
    async listUploads(prefix, { limit, cursor }, signal) {
      const [KeyMarker, UploadIdMarker] = cursor === undefined ? [] : cursor.split("\n");
      const command = new ListMultipartUploadsCommand({
        Bucket,
        Prefix: prefix,
        MaxUploads: limit,
        ...(KeyMarker ? { KeyMarker } : {}),
        ...(UploadIdMarker ? { UploadIdMarker } : {}),
      });
      const answer = await ask(`Cannot list unfinished uploads of ${name}`, signal, () =>
        client.send(command, { abortSignal: signal }),
      );
      const items = (answer.Uploads ?? []).map(({ Key = "", UploadId = "", Initiated }) => ({
        key: Key,
        id: UploadId,
        startedAtMs: Initiated?.getTime() ?? options.now(),
      }));
      if (answer.IsTruncated !== true) return { items };
      return { items, next: `${answer.NextKeyMarker ?? ""}\n${answer.NextUploadIdMarker ?? ""}` };
    },
    async abortUpload({ key, id }, signal) {
      const command = new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: id });
      await ask(`Cannot end an upload of ${key} to ${name}`, signal, () =>
        absentIsDone(client.send(command, { abortSignal: signal })),
      );
    },
    close,
  };
}

interface Session {
  readonly client: S3Client;
  readonly Bucket: string;
  readonly name: string;
  readonly ask: <T>(what: string, signal: AbortSignal, work: () => Promise<T>) => Promise<T>;
}

function createUpload(
  { client, Bucket, name, ask }: Session,
  { key, condition, uploadId }: Pick<Write, "key" | "condition"> & { readonly uploadId: string },
): DriverUpload {
  const of = { Bucket, Key: key, UploadId: uploadId };
  const what = `Cannot write ${key} to ${name}`;
  const parts = new Map<number, { readonly ETag: string; readonly sizeBytes: number }>();
  return {
    async part({ index, bytes }, signal) {
      const command = new UploadPartCommand({
        ...of,
        PartNumber: index + 1,
        Body: bytes,
        ContentLength: bytes.length,
      });
      const { ETag } = await ask(what, signal, () => client.send(command, { abortSignal: signal }));
      parts.set(index, { ETag: need(ETag, "an ETag", name), sizeBytes: bytes.length });
    },
    async complete(signal) {
      const Parts = [...parts]
        .toSorted(([a], [b]) => a - b)
        .map(([index, { ETag }]) => ({ ETag, PartNumber: index + 1 }));
      const command = new CompleteMultipartUploadCommand({
        ...of,
        MultipartUpload: { Parts },
        ...conditionOf(condition),
      });
      const { ETag } = await ask(what, signal, () => client.send(command, { abortSignal: signal }));
      const sizeBytes = [...parts.values()].reduce((sum, part) => sum + part.sizeBytes, 0);
      return { key, sizeBytes, version: need(ETag, "an ETag", name) };
    },
    async abort(signal) {
      await ask(what, signal, () =>
        absentIsDone(client.send(new AbortMultipartUploadCommand(of), { abortSignal: signal })),
      );
    },
  };
}

function createClient({ location, credentials, stallMs, now }: S3Options): { client: S3Client; close: () => void } {
  const { region, endpoint, pathStyle } = location;
  const agents = createStallAgents(stallMs);
  // A server of one's own has no regions; its SDK wants one all the same.
  const effective = region ?? (endpoint === undefined ? undefined : "us-east-1");
  const client = new S3Client({
    ...(effective === undefined ? {} : { region: effective }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: pathStyle,
    maxAttempts: 1,
    // Every request is signed over the SHA-256 of its body, which all servers check; the newer checksums
    // in trailers are unknown to many of them.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: stallMs,
      httpAgent: agents.http,
      httpsAgent: agents.https,
    },
    ...credentialsOf(credentials, now),
  });
  if (credentials.kind !== "none") sumBodiesAside(client);
  const close = (): void => {
    client.destroy();
    agents.close();
  };
  return { client, close };
}

/**
 * The signature is over the SHA-256 of the body. Left to itself the SDK computes that where everything else
 * waits for it; here it is ready, from a thread of its own, before the request is signed.
 */
function sumBodiesAside(client: S3Client): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const { request } = args as { request?: { body?: unknown; headers?: Record<string, string> } };
      if (request?.headers !== undefined && request.body instanceof Uint8Array && request.body.length >= LARGE_BYTES)
        request.headers["x-amz-content-sha256"] = await sha256(request.body);
      return next(args);
    },
    { step: "build", name: "sumBodiesAside" },
  );
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Buffer.from(digest).toString("hex");
}

function credentialsOf(credentials: StoreCredentials, now: () => number) {
  switch (credentials.kind) {
    case "identity":
      return {};
    case "none":
      return UNSIGNED;
    case "files":
    case "inline":
      return {
        credentials: async () => {
          const values = await readCredentialValues(credentials, {
            needed: ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
            optional: ["AWS_SESSION_TOKEN"],
          });
          return {
            accessKeyId: values.AWS_ACCESS_KEY_ID,
            secretAccessKey: values.AWS_SECRET_ACCESS_KEY,
            ...(values.AWS_SESSION_TOKEN === undefined ? {} : { sessionToken: values.AWS_SESSION_TOKEN }),
            expiration: new Date(now() + READ_AGAIN_MS),
          };
        },
      };
  }
}

function conditionOf(condition: PutCondition): { IfNoneMatch?: string; IfMatch?: string } {
  switch (condition.kind) {
    case "always":
      return {};
    case "absent":
      return { IfNoneMatch: "*" };
    case "unchanged":
      return { IfMatch: condition.version };
  }
}

/** A server that knows no condition of a removal says so. */
async function removeIf(send: (extra: { IfMatch?: string }) => Promise<unknown>, version: string): Promise<unknown> {
  try {
    return await send({ IfMatch: version });
  } catch (error) {
    if (statusOf(error) !== 501) throw error;
    return send({});
  }
}

async function absentIsDone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    const isAbsent = statusOf(error) === 404 && (error as Error).name !== "NoSuchBucket";
    if (!isAbsent) throw error;
  }
}

function translate(what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof StoreError || isOwnFault(error)) return error;
  const { name } = error as { name?: string };
  const status = statusOf(error);
  const { $response } = error as { $response?: { headers?: Record<string, string> } };
  const code = status === undefined ? (codeOf(error) ?? name) : name;
  return storeFault(what, { status, code, retryAfter: $response?.headers?.["retry-after"] });
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

function need(value: string | undefined, what: string, name: string): string {
  if (value !== undefined && value !== "") return value;
  throw new StoreError("unavailable", `${name} answered without ${what}.`);
}
