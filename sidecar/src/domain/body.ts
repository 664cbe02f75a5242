import { ProblemError } from "#core/problem-error.ts";

/** A body up to this many times too large is read to its end. */
const DRAINED_TIMES = 8;

/** A JSON body of at most `mostBytes`; `bad-request` when it is none, `body-too-large` beyond. */
export async function readJson(
  request: Request,
  mostBytes: number,
): Promise<{ readonly text: string; readonly value: unknown }> {
  const announced = Number(request.headers.get("content-length") ?? Number.NaN);
  if (announced > mostBytes) {
    // Who still writes when the answer comes may never read it: a little too much is taken and thrown away.
    if (announced <= mostBytes * DRAINED_TIMES) for await (const _ of request.body ?? []);
    throw tooLarge(mostBytes);
  }
  // What was announced in full is had in one go.
  const whole = announced >= 0 ? new Uint8Array(await request.arrayBuffer()) : await readChunks(request, mostBytes);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(whole);
    return { text, value: JSON.parse(text) };
  } catch (cause) {
    throw new ProblemError("bad-request", "The body is not JSON.", { cause });
  }
}

async function readChunks(request: Request, mostBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > mostBytes) throw tooLarge(mostBytes);
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

function tooLarge(mostBytes: number): ProblemError {
  return new ProblemError("body-too-large", `The body has more than ${mostBytes} bytes.`);
}

/** A decimal number in a query, `fallback` when absent; `slug` when it is anything but a whole number from 0 to `most`. */
export function readCount(
  query: URLSearchParams,
  name: string,
  limits: { readonly fallback: number; readonly most: number; readonly slug: "bad-request" | "bad-offset" },
): number {
  const text = query.get(name);
  if (text === null || text === "") return limits.fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value > limits.most) {
    throw new ProblemError(limits.slug, `The parameter "${name}" is not a whole number from 0 to ${limits.most}.`);
  }
  return value;
}
