import { createHash } from "node:crypto";
import type { StoreDriver, UploadRules } from "../driver.ts";
import type { PutCondition } from "../port.ts";
import { StoreError } from "../store-error.ts";
import type { StoreLocation } from "../store-url.ts";
import type { StoreCredentials } from "../store-credentials.ts";
import { createGcsCalls, readJson } from "./gcs-calls.ts";
import { GCS_MARK, GcsObject, gcsStoredObject, GcsPage } from "./gcs-object.ts";
import { createGcsUpload } from "./gcs-upload.ts";
import { faultyBody, storeFault } from "./http-fault.ts";
import { createStallAgents } from "./stall-agents.ts";

/** A session takes parts in order only, of multiples of 256 KiB. */
export const GCS_RULES: UploadRules = { parallel: 1, partBytes: 16 << 20, mostParts: 1 << 20 };
const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

export interface GcsOptions {
  readonly location: Extract<StoreLocation, { kind: "gcs" }>;
  readonly credentials: StoreCredentials;
  readonly stallMs: number;
  readonly rules: UploadRules;
}

/** A bucket of Google Cloud Storage. */
export async function createGcsDriver({ location, credentials, stallMs, rules }: GcsOptions): Promise<StoreDriver> {
  const name = `gs://${location.bucket}`;
  const agents = createStallAgents(stallMs);
  const calls = await createGcsCalls({ endpoint: location.endpoint, credentials }, agents);
  const bucket = encodeURIComponent(location.bucket);
  const objects = `/storage/v1/b/${bucket}/o`;
  const uploads = `/upload/storage/v1/b/${bucket}/o`;
  const of = (key: string): string => `${objects}/${encodeURIComponent(key)}`;

  return {
    name,
    rules,
    async put({ key, condition, mark }, bytes, signal) {
      const what = `Cannot write ${key} to ${name}`;
      const md5Hash = createHash("md5").update(bytes).digest("base64");
      const about = JSON.stringify({ name: key, md5Hash, metadata: { [GCS_MARK]: mark } });
      const boundary = `atoll-${mark}`;
      const head = `--${boundary}\r\ncontent-type: ${JSON_TYPE["content-type"]}\r\n\r\n${about}\r\n--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`;
      const body = Buffer.concat([Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]);
      const headers = { "content-type": `multipart/related; boundary=${boundary}` };
      const path = `${uploads}?${query({ uploadType: "multipart", ...conditionOf(condition) })}`;
      const object = await calls.json({ what, method: "POST", path, headers, body }, GcsObject, signal);
      return { key, sizeBytes: bytes.length, version: object.generation };
    },
    async begin(write, signal) {
      const { key, condition, mark } = write;
      const what = `Cannot write ${key} to ${name}`;
      const body = Buffer.from(JSON.stringify({ name: key, metadata: { [GCS_MARK]: mark } }));
      const path = `${uploads}?${query({ uploadType: "resumable", name: key, ...conditionOf(condition) })}`;
      const answer = await calls.text({ what, method: "POST", path, headers: JSON_TYPE, body }, signal);
      const session = answer.header("location") ?? "";
      if (!URL.canParse(session)) throw new StoreError("unavailable", `${what}: the store began no upload.`);
      const { pathname, search } = new URL(session);
      return createGcsUpload({ calls, name, write, path: pathname + search });
    },
    async open(key, { offset, sizeBytes, version }, signal) {
      const what = `Cannot read ${key} of ${name}`;
      const isPart = offset > 0 || sizeBytes !== undefined;
      const end = sizeBytes === undefined ? "" : String(offset + sizeBytes - 1);
      const path = `${of(key)}?${query({ alt: "media", ...(version === undefined ? {} : { generation: version }) })}`;
      const headers = isPart ? { range: `bytes=${offset}-${end}` } : {};
      const answer = await calls.open({ what, method: "GET", path, headers }, signal);
      const range = answer.header("content-range");
      if (isPart && range?.startsWith(`bytes ${offset}-`) !== true)
        throw new StoreError("invalid", `${what}: the store does not answer ranges as it should.`);
      return {
        object: {
          key,
          sizeBytes: Number(isPart ? range?.split("/")[1] : answer.header("content-length")),
          version: answer.header("x-goog-generation") ?? "",
          modifiedAtMs: Date.parse(answer.header("last-modified") ?? "") || 0,
        },
        body: faultyBody(answer.body, (error) => calls.translate(what, error, signal)),
      };
    },
    async stat(key, signal) {
      const what = `Cannot look at ${key} of ${name}`;
      const object = await calls.json({ what, method: "GET", path: of(key) }, GcsObject, signal);
      return { object: gcsStoredObject(object), mark: object.metadata?.[GCS_MARK] };
    },
    async list(prefix, { limit, cursor }, signal) {
      const fields = "items(name,size,generation,updated),nextPageToken";
      const asked = {
        prefix,
        maxResults: String(limit),
        fields,
        ...(cursor === undefined ? {} : { pageToken: cursor }),
      };
      const path = `${objects}?${query(asked)}`;
      const page = await calls.json({ what: `Cannot list ${name}/${prefix}`, method: "GET", path }, GcsPage, signal);
      const items = page.items.map(gcsStoredObject);
      return page.nextPageToken === undefined ? { items } : { items, next: page.nextPageToken };
    },
    async remove(key, version, signal) {
      const what = `Cannot remove ${key} of ${name}`;
      const condition = version === undefined ? "" : `?${query({ ifGenerationMatch: version })}`;
      if (version !== undefined) {
        // Servers that only speak like Google's may pass over the condition of a removal.
        const { status, text } = await calls.text({ what, method: "GET", path: of(key), also: [404] }, signal);
        if (status === 404) return;
        const { generation } = readJson(what, text, GcsObject);
        if (generation !== version) throw storeFault(what, { status: 412 });
      }
      await calls.text({ what, method: "DELETE", path: of(key) + condition, also: [404] }, signal);
    },
    // Sessions are known to their owners alone, and are dropped by the store a week later.
    listUploads: async () => ({ items: [] }),
    abortUpload: async () => undefined,
    close: () => agents.close(),
  };
}

function conditionOf(condition: PutCondition): Record<string, string> {
  switch (condition.kind) {
    case "always":
      return {};
    case "absent":
      return { ifGenerationMatch: "0" };
    case "unchanged":
      return { ifGenerationMatch: condition.version };
  }
}

function query(values: Readonly<Record<string, string>>): string {
  return new URLSearchParams(values).toString();
}
