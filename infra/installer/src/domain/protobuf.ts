/** One field of a message: its number, and a text, a number or the bytes of a message inside. */
export type ProtobufField = readonly [number: number, value: string | number | Uint8Array];

const encoder = new TextEncoder();
const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

/** Encodes a message of the three kinds of fields that are needed here. */
export function encodeMessage(fields: readonly ProtobufField[]): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const [number, value] of fields) {
    if (typeof value === "number") {
      bytes.push(...varint((number << 3) | VARINT), ...varint(value));
      continue;
    }
    const content = typeof value === "string" ? encoder.encode(value) : value;
    bytes.push(...varint((number << 3) | BYTES), ...varint(content.length), ...content);
  }
  return Uint8Array.from(bytes);
}

/** Fields with contents, in order; numbers of fixed width are left out. Throws for bytes that are no message. */
export function decodeMessage(bytes: Uint8Array): readonly (readonly [number, number | Uint8Array])[] {
  const fields: (readonly [number, number | Uint8Array])[] = [];
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new RangeError("The message ends within a field.");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const number = (): number => {
    let value = 0;
    for (let factor = 1; factor < 2 ** 63; factor *= 128) {
      const byte = take(1)[0] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new RangeError("The message holds a number that does not end.");
  };
  while (at < bytes.length) {
    const tag = number();
    const kind = tag % 8;
    const field = Math.floor(tag / 8);
    if (kind === VARINT) fields.push([field, number()]);
    else if (kind === BYTES) fields.push([field, take(number())]);
    else if (kind === FIXED_64 || kind === FIXED_32) take(kind === FIXED_64 ? 8 : 4);
    else throw new RangeError(`The message holds a field of the unknown kind ${kind}.`);
  }
  return fields;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}
