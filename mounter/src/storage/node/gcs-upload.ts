import { createHash } from "node:crypto";
import type { DriverUpload, Part, Write } from "../driver.ts";
import type { WrittenObject } from "../port.ts";
import { StoreError } from "../store-error.ts";
import { readJson, type GcsCalls } from "./gcs-calls.ts";
import { GcsObject } from "./gcs-object.ts";

/** The session goes on; its `Range` header says how far it is. */
const GOES_ON = 308;
/** The session was ended by its owner. */
const ENDED = 499;

interface Session {
  readonly calls: GcsCalls;
  readonly name: string;
  readonly write: Write;
  /** Path of the session with its query: it authorizes whoever knows it. */
  readonly path: string;
}

type Sent =
  | { readonly kind: "stored"; readonly object: GcsObject }
  | { readonly kind: "open"; readonly storedBytes: number };

/** A resumable upload: parts in order; the last one is sent by `complete`, and makes the object appear. */
export function createGcsUpload(session: Session): DriverUpload {
  const { calls, name, write, path } = session;
  const what = `Cannot write ${write.key} to ${name}`;
  const digest = createHash("md5");
  let digested = 0;
  let asked = -1;
  let last: Part | undefined;

  const send = async (
    range: string,
    body: Uint8Array,
    extra: Record<string, string>,
    signal: AbortSignal,
  ): Promise<Sent> => {
    const headers = { "content-range": range, ...extra };
    const answer = await calls.text({ what, method: "PUT", path, headers, body, also: [GOES_ON] }, signal);
    if (answer.status !== GOES_ON) return { kind: "stored", object: readJson(what, answer.text, GcsObject) };
    const match = /^bytes=0-(\d+)$/.exec(answer.header("range") ?? "");
    return { kind: "open", storedBytes: match === null ? 0 : Number(match[1]) + 1 };
  };

  /** Where the store is with this part: asked only when it was tried before. */
  const stored = async (part: Part, signal: AbortSignal): Promise<Sent> => {
    const isFirstTry = asked < part.index;
    asked = Math.max(asked, part.index);
    return isFirstTry ? { kind: "open", storedBytes: part.offset } : send("bytes */*", new Uint8Array(), {}, signal);
  };

  const sendPart = async (part: Part, extra: Record<string, string>, signal: AbortSignal): Promise<Sent> => {
    const end = part.offset + part.bytes.length;
    const total = part.isLast ? String(end) : "*";
    let state = await stored(part, signal);
    // The store may take less than was sent: the rest follows.
    while (state.kind === "open" && state.storedBytes < end) {
      const from = state.storedBytes;
      if (from < part.offset) throw new StoreError("invalid", `${what}: the store lost a part of it; begin anew.`);
      state = await send(`bytes ${from}-${end - 1}/${total}`, part.bytes.subarray(from - part.offset), extra, signal);
      if (state.kind === "open" && state.storedBytes <= from)
        throw new StoreError("unavailable", `${what}: the store took no byte.`);
    }
    return state;
  };

  /** An object that is there before its last part is none. */
  const sendMiddle = async (part: Part, signal: AbortSignal): Promise<void> => {
    const sent = await sendPart(part, {}, signal);
    if (sent.kind === "stored") await removeDamaged(sent.object, session, signal);
  };

  return {
    async part(part, signal) {
      if (digested === part.index) {
        digest.update(part.bytes);
        digested += 1;
      }
      // Its buffer is used again as soon as this returns.
      if (part.isLast) last = { ...part, bytes: part.bytes.slice() };
      else await sendMiddle(part, signal);
    },
    async complete(signal) {
      if (last === undefined) throw new RangeError("An upload is completed after its last part");
      const md5 = digest.copy().digest("base64");
      const sent = await sendPart(last, { "x-goog-hash": `md5=${md5}` }, signal);
      if (sent.kind === "open") throw new StoreError("unavailable", `${what}: the store did not complete it.`);
      return checked(sent.object, { md5, sizeBytes: last.offset + last.bytes.length }, session, signal);
    },
    async abort(signal) {
      await calls.text({ what, method: "DELETE", path, also: [404, 410, ENDED] }, signal);
    },
  };
}

/** The store refuses what does not fit the digest; where it did not look, the object goes again. */
async function checked(
  object: GcsObject,
  { md5, sizeBytes }: { readonly md5: string; readonly sizeBytes: number },
  session: Session,
  signal: AbortSignal,
): Promise<WrittenObject> {
  const { key } = session.write;
  const isWhole = object.size === sizeBytes && (object.md5Hash === undefined || object.md5Hash === md5);
  if (isWhole) return { key, sizeBytes, version: object.generation };
  return removeDamaged(object, session, signal);
}

async function removeDamaged(
  { generation }: GcsObject,
  { calls, name, write: { key } }: Session,
  signal: AbortSignal,
): Promise<never> {
  const bucket = encodeURIComponent(name.slice("gs://".length));
  const path = `/storage/v1/b/${bucket}/o/${encodeURIComponent(key)}?generation=${generation}`;
  const what = `Cannot remove a damaged ${key} of ${name}`;
  await calls.text({ what, method: "DELETE", path, also: [404] }, signal);
  throw new StoreError(
    "invalid",
    `Cannot write ${key} to ${name}: what the store kept is not what was sent; write it anew.`,
  );
}
