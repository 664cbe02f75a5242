import { ProblemError } from "#core/problem-error.ts";
import { repeatedMember } from "./repeated-member.ts";

/** A request's JSON: 415 for another media type, 413 beyond `maxBytes`, 400 when it cannot be decoded or says a thing twice. */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const mediaType = request.headers.get("content-type");
  if (mediaType === null || !/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(mediaType)) {
    throw new ProblemError(
      "unsupported-media-type",
      `The body must be application/json, not ${JSON.stringify(mediaType ?? "without a type")}.`,
    );
  }
  const { text, value } = decode(await readBytes(request, maxBytes));
  const repeated = repeatedMember(text);
  if (repeated === undefined) return value;
  const name = JSON.stringify(repeated.slice(0, MOST_NAME));
  throw new ProblemError("bad-request", `The body has the member ${name} twice in one object; leave one of them out.`);
}

const MOST_NAME = 100;

function decode(bytes: Uint8Array): { readonly text: string; readonly value: unknown } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { text, value: JSON.parse(text) };
  } catch (cause) {
    throw new ProblemError("bad-request", "The body is not valid JSON.", { cause });
  }
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const tooLarge = (): ProblemError => new ProblemError("body-too-large", `The body has more than ${maxBytes} bytes.`);
  const declared = request.headers.get("content-length");
  if (declared !== null) {
    if (Number(declared) > maxBytes) throw tooLarge();
    return new Uint8Array(await request.arrayBuffer());
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  chunks.reduce((at, chunk) => {
    bytes.set(chunk, at);
    return at + chunk.length;
  }, 0);
  return bytes;
}
