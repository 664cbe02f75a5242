import { Atoll, NotFoundError, OutcomeUnknownError } from "../src/index.ts";

const SIZE_BYTES = 2_000_000;

/** Uses every part of the client once and says what it saw; Web APIs only, so that it runs on any runtime. */
export async function scenario(url: string): Promise<Record<string, unknown>> {
  const client = new Atoll({ url, requestTimeoutMs: 5_000 });
  const sandbox = await client.sandboxes.create({ image: "debian" });
  const ran = await sandbox.commands.run(["cat"], { input: new Blob(["in"]).stream() });

  const command = await sandbox.commands.spawn(["output"]);
  let sum = 0;
  let sizeBytes = 0;
  for await (const piece of readerOf(command.stdoutBytes)) {
    for (const byte of piece) sum = (sum * 31 + byte) % 1_000_003;
    sizeBytes += piece.length;
  }
  let text = "";
  for await (const piece of command.stderr) text += piece;

  await sandbox.filesystem.write("/stream", upload());
  const uploaded = await sandbox.filesystem.read("/stream");
  await sandbox.filesystem.write("/empty", new Uint8Array());
  const empty = await sandbox.filesystem.read("/empty");
  const missing = await sandbox.filesystem.read("/missing").catch((error: unknown) => error instanceof NotFoundError);
  const unknown = await client.sandboxes.get("unknown").catch((error: unknown) => error instanceof OutcomeUnknownError);
  const aborted = await abortedWait(client);
  await sandbox.delete();
  return {
    ran,
    sizeBytes,
    sum,
    text,
    uploadedBytes: uploaded.length,
    uploadedRight: uploaded.every((byte, at) => byte === (at * 7) % 251),
    emptyBytes: empty.length,
    missing,
    unknown,
    aborted,
  };
}

async function* upload(): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < SIZE_BYTES; from += 100_000) {
    yield Uint8Array.from({ length: 100_000 }, (_, at) => ((from + at) * 7) % 251);
  }
}

async function abortedWait(client: Atoll): Promise<unknown> {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")), 50);
  return client.sandboxes
    .get("hangs", { signal: controller.signal })
    .catch((error: unknown) => (error as Error).message);
}

async function* readerOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}
