import { ProblemError } from "#core/problem-error.ts";

/** A JSON body of at most `mostBytes`; `bad-request` when it is none, `body-too-large` beyond. */
export async function readJson(
  request: Request,
  mostBytes: number,
): Promise<{ readonly text: string; readonly value: unknown }> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > mostBytes) throw new ProblemError("body-too-large", `The body has more than ${mostBytes} bytes.`);
    chunks.push(chunk);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(whole);
    return { text, value: JSON.parse(text) };
  } catch (cause) {
    throw new ProblemError("bad-request", "The body is not JSON.", { cause });
  }
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
