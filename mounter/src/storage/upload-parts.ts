import { createPartBuffers, cutParts, type PartBuffers } from "./cut-parts.ts";
import type { DriverUpload, Part, StoreDriver, Write } from "./driver.ts";
import { settleWrite } from "./own-write.ts";
import type { StoreCall, UploadOptions, WrittenObject } from "./port.ts";
import { withRetries, type RetryPorts } from "./retry.ts";
import { StoreError } from "./store-error.ts";

const ABORT_ATTEMPTS = 2;

interface Transfer extends StoreCall {
  readonly driver: StoreDriver;
  readonly ports: RetryPorts;
  readonly write: Write;
  readonly what: string;
  readonly onProgress: UploadOptions["onProgress"];
}

/** Sends a stream as one object: at once when it fits into a part, else in parts. */
export async function uploadParts(source: AsyncIterable<Uint8Array>, transfer: Transfer): Promise<WrittenObject> {
  const { driver, signal } = transfer;
  const { partBytes } = driver.rules;
  const buffers = createPartBuffers(partBytes);
  const end = new AbortController();
  const onAbort = (): void => end.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const parts = cutParts(source, { partBytes, buffers, signal: end.signal });
  try {
    const first = await parts.next();
    if (first.done === true) throw new RangeError("A stream has at least one part");
    if (first.value.isLast) return await putWhole(first.value, transfer);
    return await uploadRest(first.value, parts, { ...transfer, buffers, end });
  } finally {
    signal.removeEventListener("abort", onAbort);
    end.abort(new Error("The upload is over"));
    await parts.return().catch(() => undefined);
  }
}

async function putWhole({ bytes }: Part, { driver, ports, write, onProgress, ...call }: Transfer) {
  const attempt = { ...call, sizeBytes: bytes.length };
  const object = await settleWrite(driver, ports, { write, attempt }, (once) => driver.put(write, bytes, once));
  onProgress?.(bytes.length);
  return object;
}

interface Rest extends Transfer {
  readonly buffers: PartBuffers;
  readonly end: AbortController;
}

async function uploadRest(
  first: Part,
  parts: AsyncGenerator<Part, void, undefined>,
  rest: Rest,
): Promise<WrittenObject> {
  const { driver, ports, write, end } = rest;
  const upload = await withRetries(ports, rest, (once) => driver.begin(write, once));
  try {
    await sendAll(upload, joined(first, parts), rest);
    return await settleWrite(driver, ports, { write, attempt: rest }, (once) => upload.complete(once));
  } catch (error) {
    end.abort(error);
    await abort(upload, rest);
    throw error;
  }
}

/** As many workers as the store takes parts at once; the first failure ends them all. */
async function sendAll(upload: DriverUpload, parts: AsyncGenerator<Part, void, undefined>, rest: Rest): Promise<void> {
  const { driver, end } = rest;
  let storedBytes = 0;
  const work = async (): Promise<void> => {
    try {
      for (;;) {
        const next = await parts.next();
        if (next.done === true) return;
        await sendPart(upload, next.value, rest);
        storedBytes += next.value.bytes.length;
        rest.onProgress?.(storedBytes);
      }
    } catch (error) {
      end.abort(error);
      throw error;
    }
  };
  const workers = Array.from({ length: driver.rules.parallel }, work);
  const outcomes = await Promise.allSettled(workers);
  end.signal.throwIfAborted();
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function sendPart(upload: DriverUpload, part: Part, rest: Rest): Promise<void> {
  const { driver, ports, what, end, buffers } = rest;
  const { mostParts, partBytes } = driver.rules;
  if (part.index >= mostParts)
    throw new StoreError(
      "invalid",
      `${what}: it takes ${mostParts} parts of ${partBytes} bytes; larger parts take more.`,
    );
  let attempts = 0;
  await withRetries(ports, { ...rest, signal: end.signal, sizeBytes: part.bytes.length }, (signal) => {
    attempts += 1;
    return upload.part(part, signal);
  });
  // An attempt that was given up may still be read from: its buffer is not written again.
  if (attempts === 1) buffers.give(part.bytes);
}

/** What is left after a failed abort, the collector of stale uploads ends. */
async function abort(upload: DriverUpload, { ports, what }: Rest): Promise<void> {
  const patience = { ...ports.patience, attempts: ABORT_ATTEMPTS };
  const { signal } = new AbortController();
  await withRetries({ ...ports, patience }, { what, signal }, (once) => upload.abort(once)).catch(() => undefined);
}

async function* joined(
  first: Part,
  rest: AsyncGenerator<Part, void, undefined>,
): AsyncGenerator<Part, void, undefined> {
  yield first;
  yield* rest;
}
