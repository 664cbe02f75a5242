/** A request's whole body, asking `reserve` before it grows beyond each size. Rejects when the request was cut. */
export async function readBody(
  { body, signal }: Request,
  reserve: (sizeBytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    signal.throwIfAborted();
    size += chunk.length;
    reserve(size);
    chunks.push(chunk);
  }
  signal.throwIfAborted();
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
