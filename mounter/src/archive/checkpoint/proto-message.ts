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

export function readMessage(bytes: Uint8Array): ProtoMessage {
  const numbers = new Map<number, number>();
  const values = new Map<number, Uint8Array[]>();
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
    if (tag % 8 === VARINT) numbers.set(field, varint());
    else if (tag % 8 === BYTES) {
      const length = varint();
      if (length > bytes.length - at) throw fault("is cut");
      const list = values.get(field) ?? [];
      list.push(bytes.subarray(at, at + length));
      values.set(field, list);
      at += length;
    } else throw fault(`has a field of wire type ${tag % 8}`);
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
