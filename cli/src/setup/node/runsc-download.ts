import { createHash } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { sha512Of } from "../runsc-release.ts";
import type { SetupContext } from "../step.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const STALL_TIMEOUT_MS = 30_000;
const MAX_BYTES = 512 * 1024 * 1024;
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };

/** Downloads gVisor's official release and verifies it against its published SHA-512. */
export async function downloadRunsc(releasesUrl: string, file: string, context: SetupContext): Promise<void> {
  const base = `${releasesUrl}/${ARCHITECTURES[process.arch] ?? process.arch}/runsc`;
  const wanted = sha512Of(await (await get(`${base}.sha512`, context.signal)).text(), "runsc");
  if (wanted === undefined) throw new Error(`${base}.sha512 holds no checksum of runsc.`);
  const found = await save(await get(base, context.signal), file, context);
  if (found === wanted) return;
  await rm(file, { force: true });
  throw new Error(`${base} does not match its published checksum.`);
}

async function get(url: string, signal: AbortSignal): Promise<Response> {
  const connect = new AbortController();
  const timer = setTimeout(
    () => connect.abort(new Error(`${url} did not answer within ${CONNECT_TIMEOUT_MS} ms.`)),
    CONNECT_TIMEOUT_MS,
  );
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, connect.signal]) });
    if (!response.ok) throw new Error(`${url} answers with status ${response.status}.`);
    return response;
  } finally {
    clearTimeout(timer);
  }
}

async function save(response: Response, file: string, { signal, progress }: SetupContext): Promise<string> {
  const totalBytes = Number(response.headers.get("content-length") ?? 0);
  const hash = createHash("sha512");
  const out = await open(file, "w", 0o755);
  let doneBytes = 0;
  try {
    const reader = response.body?.getReader();
    if (reader === undefined) throw new Error(`${response.url} answers without a body.`);
    for (;;) {
      const chunk = await readInTime(reader, signal);
      if (chunk.done) break;
      doneBytes += chunk.value.length;
      if (doneBytes > MAX_BYTES) throw new Error(`${response.url} is larger than ${MAX_BYTES} bytes.`);
      hash.update(chunk.value);
      await out.write(chunk.value);
      progress({
        ...(totalBytes > 0 ? { fraction: doneBytes / totalBytes } : {}),
        detail: `${Math.round(doneBytes / 1e6)} MB`,
      });
    }
    await out.sync();
  } finally {
    await out.close();
  }
  return hash.digest("hex");
}

async function readInTime(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  const late = Promise.withResolvers<never>();
  const onAbort = (): void => late.reject(signal.reason);
  const timer = setTimeout(
    () => late.reject(new Error(`The download of runsc stood still for ${STALL_TIMEOUT_MS} ms.`)),
    STALL_TIMEOUT_MS,
  );
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([reader.read(), late.promise]);
  } catch (error) {
    await reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
