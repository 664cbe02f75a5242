import { ArchiveFault } from "./archive-fault.ts";
import { showPath } from "./byte-string.ts";
import { checkEntry } from "./entry-rules.ts";
import { RECORDS_TYPE, decodeHead } from "./entry-codec.ts";
import type { EntryHead } from "./entry-head.ts";
import { MOST_RECORD_BYTES } from "./layer-limits.ts";
import { decodeRecords, type Records } from "./records.ts";
import { sizeText } from "./size-text.ts";
import { BLOCK_BYTES, decodeBlock, isZero, paddingOf } from "./tar-block.ts";

/** Where in the archive an entry lies: its header, with its records, up to its data. */
export interface EntryPlace {
  readonly at: number;
  readonly dataAt: number;
}

/** Is told of everything in an archive, in the order in which it lies there. */
export interface TarVisitor {
  entry(head: EntryHead, place: EntryPlace): void;
  /** Some of the data of the last entry. */
  data?(bytes: Uint8Array): void;
}

/** Reads an archive as its bytes come by; keeps no more of it than one header. */
export interface TarScanner {
  push(bytes: Uint8Array): void;
  /** Bytes of data that follow, which `skip` may leave out. */
  dataLeft(): number;
  skip(bytes: number): void;
  /** Must be called at the end: an archive that is cut between two entries is known by nothing else. */
  end(): void;
}

type State = "header" | "records" | "data" | "padding" | "closing" | "closed";

/** A scanner that throws an `ArchiveFault` at the first fault, and before more than so many bytes. */
export function createTarScanner(visitor: TarVisitor, mostBytes: number): TarScanner {
  const block = new Uint8Array(BLOCK_BYTES);
  let state: State = "header";
  let offset = 0;
  /** The header block or the records that are being collected, and how much of them is there. */
  let collected = block;
  let filled = 0;
  /** Bytes that are left of data or padding. */
  let left = 0;
  let recordSize = 0;
  let records: Records | undefined;
  let headAt = 0;
  let last: EntryHead | undefined;

  function collect(next: Uint8Array<ArrayBuffer>, nextState: State): void {
    collected = next;
    filled = 0;
    state = nextState;
  }

  function onHeader(): void {
    if (isZero(block)) {
      if (records !== undefined) throw fault("has an extended header without an entry");
      collect(block, state === "closing" ? "closed" : "closing");
      return;
    }
    if (state === "closing") throw fault("has only one of the two blocks that end it");
    const fields = decodeBlock(block);
    if (fields.type !== RECORDS_TYPE) {
      onEntry(decodeHead(fields, records ?? new Map<string, string>()));
      return;
    }
    if (records !== undefined) throw fault("has two extended headers for one entry");
    if (fields.sizeBytes > MOST_RECORD_BYTES)
      throw fault(`has an extended header of ${sizeText(fields.sizeBytes)}`, "too-large");
    headAt = offset - BLOCK_BYTES;
    recordSize = fields.sizeBytes;
    collect(new Uint8Array(recordSize + paddingOf(recordSize)), "records");
    if (recordSize === 0) onRecords();
  }

  function onRecords(): void {
    records = decodeRecords(collected.subarray(0, recordSize));
    collect(block, "header");
  }

  function onEntry(head: EntryHead): void {
    checkEntry(head);
    if (head.sizeBytes > mostBytes - offset)
      throw fault(`says that its entry "${showPath(head.path)}" has ${sizeText(head.sizeBytes)}`, "too-large");
    visitor.entry(head, { at: records === undefined ? offset - BLOCK_BYTES : headAt, dataAt: offset });
    records = undefined;
    last = head;
    left = head.sizeBytes;
    state = "data";
    if (left === 0) onData();
  }

  function onData(): void {
    left = paddingOf(offset);
    if (left === 0) collect(block, "header");
    else state = "padding";
  }

  function take(bytes: number): void {
    offset += bytes;
    left -= bytes;
    if (left > 0) return;
    if (state === "data") onData();
    else collect(block, "header");
  }

  function fault(what: string, code: ArchiveFault["code"] = "damaged"): ArchiveFault {
    return new ArchiveFault(code, `the archive ${what} (at byte ${offset})`);
  }

  function within(error: unknown): unknown {
    if (!(error instanceof ArchiveFault) || error.message.startsWith("the ")) return error;
    const after = last === undefined ? "" : `, after "${showPath(last.path)}"`;
    return new ArchiveFault(error.code, `the archive's ${error.message} (at byte ${offset}${after})`, { cause: error });
  }

  function pushSome(bytes: Uint8Array): number {
    if (state === "data" || state === "padding") {
      const some = bytes.subarray(0, left);
      if (state === "data") visitor.data?.(some);
      take(some.length);
      return some.length;
    }
    if (state === "closed") {
      if (!isZero(bytes)) throw fault("goes on after its end");
      offset += bytes.length;
      return bytes.length;
    }
    const some = bytes.subarray(0, collected.length - filled);
    collected.set(some, filled);
    filled += some.length;
    offset += some.length;
    if (filled < collected.length) return some.length;
    if (state === "records") onRecords();
    else {
      filled = 0;
      onHeader();
    }
    return some.length;
  }

  return {
    push(bytes) {
      if (bytes.length > mostBytes - offset) throw fault(`is larger than ${sizeText(mostBytes)}`, "too-large");
      try {
        for (let rest = bytes; rest.length > 0;) rest = rest.subarray(pushSome(rest));
      } catch (error) {
        throw within(error);
      }
    },
    dataLeft: () => (state === "data" ? left : 0),
    skip(bytes) {
      if (state !== "data" || bytes > left) throw new RangeError("There is no such data to skip");
      take(bytes);
    },
    end() {
      if (state === "closed") return;
      if (offset === 0) throw fault("is empty");
      throw fault(state === "data" ? `is cut within "${showPath(last?.path ?? "")}"` : "is cut before its end");
    },
  };
}
