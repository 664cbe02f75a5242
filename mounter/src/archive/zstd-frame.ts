import { ArchiveFault } from "./archive-fault.ts";

/** Most of an archive that one frame holds: what a writer and a reader keep in memory of it. */
export const FRAME_BYTES = 2 * 1024 * 1024;

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
/** Four bytes of length, and nothing besides: all of the frame is one window. */
const STORED_DESCRIPTOR = 0b1010_0000;
const STORED_HEAD_BYTES = 9;
const BLOCK_HEAD_BYTES = 3;
const MOST_BLOCK_BYTES = 128 * 1024;
const MOST_HEAD_BYTES = 18;
const CHECKSUM_BYTES = 4;

/**
 * A frame that has the bytes as they are, in pieces that share their memory: what does not get smaller costs
 * no time, neither here nor where it is read.
 */
export function storedFrame(bytes: Uint8Array): readonly Uint8Array[] {
  const head = new Uint8Array(STORED_HEAD_BYTES);
  head.set([...MAGIC, STORED_DESCRIPTOR]);
  new DataView(head.buffer).setUint32(MAGIC.length + 1, bytes.length, true);
  const pieces: Uint8Array[] = [head];
  const blocks = Math.max(1, Math.ceil(bytes.length / MOST_BLOCK_BYTES));
  for (let block = 0; block < blocks; block += 1) {
    const data = bytes.subarray(block * MOST_BLOCK_BYTES, (block + 1) * MOST_BLOCK_BYTES);
    const value = (data.length << 3) | (block === blocks - 1 ? 1 : 0);
    pieces.push(new Uint8Array([value & 0xff, (value >> 8) & 0xff, value >> 16]), data);
  }
  return pieces;
}

/** Bytes within a frame that are what it holds. */
export interface StoredPiece {
  readonly at: number;
  readonly bytes: number;
}

/** Finds where frames end, without unpacking them (RFC 8878). Throws an `ArchiveFault` at what is none. */
export interface FrameScanner {
  /** Where the frame ends that goes on at `from`; undefined = not within these bytes. */
  scan(bytes: Uint8Array, from: number): number | undefined;
  /** Of the frame that has ended: where its bytes lie within it when they are stored as they are. */
  readonly stored: readonly StoredPiece[] | undefined;
  /** Whether a frame has begun and not ended. */
  readonly isWithin: boolean;
}

type State = "head" | "block" | "data" | "checksum";

export function createFrameScanner({ mostWindowBytes }: { readonly mostWindowBytes: number }): FrameScanner {
  const head = new Uint8Array(MOST_HEAD_BYTES);
  let state: State = "head";
  let filled = 0;
  /** Bytes of the frame so far. */
  let offset = 0;
  let left = 0;
  let isLast = false;
  let hasChecksum = false;
  let plain: StoredPiece[] | undefined = [];
  let stored: readonly StoredPiece[] | undefined;

  /** Collects a few bytes that may lie in two pieces; answers where it stopped. */
  function collect(bytes: Uint8Array, from: number, wanted: number): number {
    const some = bytes.subarray(from, from + wanted - filled);
    head.set(some, filled);
    filled += some.length;
    offset += some.length;
    return from + some.length;
  }

  function onHead(): void {
    const descriptor = head[MAGIC.length] ?? 0;
    hasChecksum = (descriptor & 0b100) !== 0;
    checkWindow(descriptor);
    [state, filled] = ["block", 0];
  }

  function checkWindow(descriptor: number): void {
    const isOneWindow = (descriptor & 0b10_0000) !== 0;
    const value = head[MAGIC.length + 1] ?? 0;
    const base = 2 ** (10 + (value >> 3));
    const windowBytes = isOneWindow ? contentBytes(descriptor) : base + (base / 8) * (value & 7);
    if (windowBytes > mostWindowBytes) throw fault("needs too much memory");
  }

  function contentBytes(descriptor: number): number {
    const at = MAGIC.length + 1;
    const view = new DataView(head.buffer);
    const kind = descriptor >> 6;
    if (kind === 0) return head[at] ?? 0;
    if (kind === 1) return view.getUint16(at, true) + 256;
    return kind === 2 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
  }

  function onBlock(): void {
    const value = (head[0] ?? 0) | ((head[1] ?? 0) << 8) | ((head[2] ?? 0) << 16);
    const [kind, size] = [(value >> 1) & 3, value >> 3];
    if (kind === 3 || (kind !== 1 && size > MOST_BLOCK_BYTES)) throw fault("has a block of no known kind");
    isLast = (value & 1) === 1;
    left = kind === 1 ? 1 : size;
    if (kind === 0) plain?.push({ at: offset, bytes: size });
    else plain = undefined;
    state = "data";
    filled = 0;
    if (left === 0) onData();
  }

  function onData(): void {
    state = isLast ? "checksum" : "block";
    left = isLast && hasChecksum ? CHECKSUM_BYTES : 0;
  }

  function end(): void {
    stored = hasChecksum ? undefined : plain;
    [state, filled, offset, plain] = ["head", 0, 0, []];
  }

  return {
    get stored() {
      return stored;
    },
    get isWithin() {
      return state !== "head" || filled > 0;
    },
    scan(bytes, from) {
      let at = from;
      for (;;) {
        if (state === "checksum" && left === 0) {
          end();
          return at;
        }
        if (at === bytes.length) return undefined;
        if (state === "head") {
          const wanted = filled <= MAGIC.length ? MAGIC.length + 1 : MAGIC.length + headBytes(head[MAGIC.length] ?? 0);
          at = collect(bytes, at, wanted);
          checkMagic(head.subarray(0, Math.min(filled, MAGIC.length)));
          if (filled > MAGIC.length && filled === MAGIC.length + headBytes(head[MAGIC.length] ?? 0)) onHead();
        } else if (state === "block") {
          at = collect(bytes, at, BLOCK_HEAD_BYTES);
          if (filled === BLOCK_HEAD_BYTES) onBlock();
        } else {
          const some = Math.min(left, bytes.length - at);
          at += some;
          offset += some;
          left -= some;
          if (left === 0 && state === "data") onData();
        }
      }
    },
  };
}

/** Bytes of a frame's header behind its magic number. */
function headBytes(descriptor: number): number {
  if ((descriptor & 0b1011) !== 0) throw fault("asks for what no reader of ours has");
  const isOneWindow = (descriptor & 0b10_0000) !== 0;
  const kind = descriptor >> 6;
  const lengthBytes = kind === 0 ? Number(isOneWindow) : 2 ** kind;
  return 1 + (isOneWindow ? 0 : 1) + lengthBytes;
}

function checkMagic(bytes: Uint8Array): void {
  if (bytes.some((byte, index) => byte !== MAGIC[index])) throw fault("does not begin as a frame of zstd does");
}

function fault(what: string): ArchiveFault {
  return new ArchiveFault("damaged", `the snapshot's data ${what}`);
}
