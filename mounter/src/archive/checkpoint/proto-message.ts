import { ArchiveFault } from "../archive-fault.ts";

/** The fields of a protocol buffers message by number, of the two wire types that checkpoints use. */
export interface ProtoMessage {
  /** The last value, 0 when absent; refuses numbers that are not exact. */
  number(field: number): number;
  bytes(field: number): Uint8Array;
  text(field: number): string;
  all(field: number): readonly Uint8Array[];
}

const EMPTY = new Uint8Array(0);
const VARINT = 0;
const BYTES = 2;

/** One field as it stands there: a number, or bytes. */
export type ProtoField = readonly [field: number, value: number | Uint8Array];

/** The fields of a message as they come by: what repeats without end needs no memory. */
export function* fieldsOf(bytes: Uint8Array): Generator<ProtoField, void, undefined> {
  let at = 0;

  function varint(): number {
    let value = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = bytes[at++];
      if (byte === undefined) throw fault("is cut");
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    throw fault("has a number of more than 64 bits");
  }

  while (at < bytes.length) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (tag % 8 === VARINT) yield [field, varint()];
    else if (tag % 8 === BYTES) {
      const length = varint();
      if (length > bytes.length - at) throw fault("is cut");
      at += length;
      yield [field, bytes.subarray(at - length, at)];
    } else throw fault(`has a field of wire type ${tag % 8}`);
  }
}

export function readMessage(bytes: Uint8Array): ProtoMessage {
  const numbers = new Map<number, number>();
  const values = new Map<number, Uint8Array[]>();
  for (const [field, value] of fieldsOf(bytes)) {
    if (typeof value === "number") numbers.set(field, value);
    else {
      const list = values.get(field) ?? [];
      list.push(value);
      values.set(field, list);
    }
  }
  const message: ProtoMessage = {
    number(field) {
      const value = numbers.get(field) ?? 0;
      if (!Number.isSafeInteger(value)) throw fault(`has in field ${field} a number beyond 53 bits`);
      return value;
    },
    all: (field) => values.get(field) ?? [],
    bytes: (field) => values.get(field)?.at(-1) ?? EMPTY,
    text: (field) => new TextDecoder().decode(message.bytes(field)),
  };
  return message;
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("damaged", `the checkpoint has a message that ${what}`);
}
