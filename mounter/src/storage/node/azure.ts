import {
  AnonymousCredential,
  BlobServiceClient,
  newPipeline,
  StorageSharedKeyCredential,
  type BlockBlobClient,
} from "@azure/storage-blob";
import { createHash } from "node:crypto";
import type { DriverUpload, StoreDriver, UploadRules, Write } from "../driver.ts";
import type { PutCondition } from "../port.ts";
import type { StoreCredentials } from "../store-credentials.ts";
import { StoreError } from "../store-error.ts";
import type { StoreLocation } from "../store-url.ts";
import { readCredentialValues } from "./credential-values.ts";
import { codeOf, faultyBody, isOwnFault, storeFault } from "./http-fault.ts";
import { createStallAgents, type StallAgents } from "./stall-agents.ts";

/** 390 GiB in all. */
export const AZURE_RULES: UploadRules = { parallel: 4, partBytes: 8 << 20, mostParts: 50_000 };
/** User metadata of objects: who wrote it. */
const MARK = "atoll_write";

export interface AzureOptions {
  readonly location: Extract<StoreLocation, { kind: "azure" }>;
  readonly credentials: StoreCredentials;
  readonly stallMs: number;
  readonly rules: UploadRules;
}

/** A container of Azure Blob Storage. */
export async function createAzureDriver(options: AzureOptions): Promise<StoreDriver> {
  const { location, rules, stallMs } = options;
  const name = `azblob://${location.container}`;
  const agents = createStallAgents(stallMs);
  const container = (await createService(options, agents)).getContainerClient(location.container);
  const blob = (key: string): BlockBlobClient => container.getBlockBlobClient(key);

  return {
    name,
    rules,
    async put({ key, condition, mark }, bytes, signal) {
      const { etag } = await ask(`Cannot write ${key} to ${name}`, signal, () =>
        blob(key).upload(bytes, bytes.length, {
          abortSignal: signal,
          conditions: conditionsOf(condition),
          metadata: { [MARK]: mark },
          transactionalContentMD5: md5(bytes),
        }),
      );
      return { key, sizeBytes: bytes.length, version: need(etag, name) };
    },
    begin: async (write) => createUpload(blob(write.key), name, write),
    async open(key, { offset, sizeBytes, version }, signal) {
      const what = `Cannot read ${key} of ${name}`;
      const conditions = version === undefined ? {} : { ifMatch: version };
      const answer = await ask(what, signal, () =>
        blob(key).download(offset, sizeBytes, { abortSignal: signal, conditions, maxRetryRequests: 0 }),
      );
      const isPart = offset > 0 || sizeBytes !== undefined;
      if (isPart && answer.contentRange?.startsWith(`bytes ${offset}-`) !== true)
        throw new StoreError("invalid", `${what}: the store does not answer ranges as it should.`);
      const wholeBytes = isPart ? Number(answer.contentRange?.split("/")[1]) : answer.contentLength;
      // One that is given up before anybody reads it would end the process with its fault.
      answer.readableStreamBody?.on("error", () => undefined);
      const body = answer.readableStreamBody as AsyncIterable<Uint8Array> | undefined;
      return {
        object: {
          key,
          sizeBytes: wholeBytes ?? 0,
          version: need(answer.etag, name),
          modifiedAtMs: answer.lastModified?.getTime() ?? 0,
        },
        body: faultyBody(body ?? noBytes(), (error) => translate(what, error, signal)),
      };
    },
    async stat(key, signal) {
      const answer = await ask(`Cannot look at ${key} of ${name}`, signal, () =>
        blob(key).getProperties({ abortSignal: signal }),
      );
      const modifiedAtMs = answer.lastModified?.getTime() ?? 0;
      return {
        object: { key, sizeBytes: answer.contentLength ?? 0, version: need(answer.etag, name), modifiedAtMs },
        mark: answer.metadata?.[MARK],
      };
    },
    async list(prefix, { limit, cursor }, signal) {
      const page = { maxPageSize: limit, ...(cursor === undefined ? {} : { continuationToken: cursor }) };
      const found = await ask(`Cannot list ${name}/${prefix}`, signal, () =>
        container.listBlobsFlat({ prefix, abortSignal: signal }).byPage(page).next(),
      );
      if (found.done === true) return { items: [] };
      const { segment, continuationToken } = found.value;
      const items = segment.blobItems.map(({ name: key, properties }) => ({
        key,
        sizeBytes: properties.contentLength ?? 0,
        version: quoted(properties.etag),
        modifiedAtMs: properties.lastModified.getTime(),
      }));
      return continuationToken ? { items, next: continuationToken } : { items };
    },
    async remove(key, version, signal) {
      const conditions = version === undefined ? {} : { ifMatch: version };
      await ask(`Cannot remove ${key} of ${name}`, signal, async () => {
        try {
          await blob(key).delete({ abortSignal: signal, conditions });
        } catch (error) {
          if (codeOf(error) !== "BlobNotFound") throw error;
        }
      });
    },
    // Blocks that no commit names are dropped by the store itself, a week later.
    listUploads: async () => ({ items: [] }),
    abortUpload: async () => undefined,
    close: () => agents.close(),
  };
}

function createUpload(client: BlockBlobClient, name: string, { key, condition, mark }: Write): DriverUpload {
  const what = `Cannot write ${key} to ${name}`;
  const sizes = new Map<number, number>();
  // Blocks of two uploads to one key never mix: ids of one length, with the mark of the write.
  const idOf = (index: number): string => Buffer.from(`${mark}.${String(index).padStart(6, "0")}`).toString("base64");
  return {
    async part({ index, bytes }, signal) {
      await ask(what, signal, () =>
        client.stageBlock(idOf(index), bytes, bytes.length, {
          abortSignal: signal,
          transactionalContentMD5: md5(bytes),
        }),
      );
      sizes.set(index, bytes.length);
    },
    async complete(signal) {
      const ids = [...sizes.keys()].toSorted((a, b) => a - b).map(idOf);
      const { etag } = await ask(what, signal, () =>
        client.commitBlockList(ids, {
          abortSignal: signal,
          conditions: conditionsOf(condition),
          metadata: { [MARK]: mark },
        }),
      );
      const sizeBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      return { key, sizeBytes, version: need(etag, name) };
    },
    // There is no such request: uncommitted blocks are invisible and expire.
    abort: async () => undefined,
  };
}

async function createService({ location, credentials }: AzureOptions, agents: StallAgents): Promise<BlobServiceClient> {
  const credential = await credentialOf(location.account, credentials);
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push({
    create: (next) => ({
      sendRequest(request) {
        // A request is made to be changed by those whom it passes.
        Object.assign(request, { agent: request.url.startsWith("https:") ? agents.https : agents.http });
        return next.sendRequest(request);
      },
    }),
  });
  return new BlobServiceClient(location.endpoint, pipeline);
}

async function credentialOf(account: string, credentials: StoreCredentials) {
  switch (credentials.kind) {
    case "none":
      return new AnonymousCredential();
    case "identity": {
      const { DefaultAzureCredential } = await import("@azure/identity");
      return new DefaultAzureCredential();
    }
    case "files":
    case "inline": {
      const values = await readCredentialValues(credentials, { needed: ["AZURE_STORAGE_KEY"] });
      return new StorageSharedKeyCredential(account, values.AZURE_STORAGE_KEY);
    }
  }
}

function conditionsOf(condition: PutCondition): { ifNoneMatch?: string; ifMatch?: string } {
  switch (condition.kind) {
    case "always":
      return {};
    case "absent":
      return { ifNoneMatch: "*" };
    case "unchanged":
      return { ifMatch: condition.version };
  }
}

async function ask<T>(what: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translate(what, error, signal);
  }
}

function translate(what: string, error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof StoreError || isOwnFault(error)) return error;
  const { statusCode, name, response } = error as {
    statusCode?: number;
    name?: string;
    response?: { headers?: { get(name: string): string | undefined } };
  };
  const code = codeOf(error) ?? (name === "RestError" ? undefined : name);
  return storeFault(what, { status: statusCode, code, retryAfter: response?.headers?.get("retry-after") });
}

function md5(bytes: Uint8Array): Uint8Array {
  return createHash("md5").update(bytes).digest();
}

/** Lists give the tag bare, answers in quotes: one form, so that they compare. */
function quoted(etag: string): string {
  return etag.startsWith('"') ? etag : `"${etag}"`;
}

function need(etag: string | undefined, name: string): string {
  if (etag !== undefined && etag !== "") return quoted(etag);
  throw new StoreError("unavailable", `${name} answered without an ETag.`);
}

async function* noBytes(): AsyncGenerator<Uint8Array, void, undefined> {}
