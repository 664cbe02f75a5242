import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { archiveOf, bytesOf, entry, type SampleEntry } from "./sample-layer.ts";

const PAGE_BYTES = 4096;

/** A part of a file: whole pages; a fill of 0 is memory in use that was never written. */
export interface SampleSegment {
  readonly startPage: number;
  readonly pages: number;
  readonly fill: number;
}

export interface SampleFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly segments: readonly SampleSegment[];
}

/** The parts of one container's checkpoint, each of which a test may change before they are written. */
export interface SampleCheckpoint {
  containerName: string;
  version: number;
  pageBytes: number;
  endian: string;
  archive: Uint8Array;
  ranges: (readonly [start: number, end: number, isWritten: number])[];
  pages: Uint8Array;
  tarEndOffBy: number;
}

/** A checkpoint of some files, as gVisor would have written it. */
export function sampleCheckpoint(others: readonly SampleEntry[], files: readonly SampleFile[]): SampleCheckpoint {
  const ranges: (readonly [number, number, number])[] = [];
  const pages: Uint8Array[] = [];
  // Memory does not begin at the beginning of the memory file, and has gaps.
  let at = 3 * PAGE_BYTES;
  const entries = files.map(({ path, sizeBytes, segments }) => {
    const numbers = segments.flatMap(({ startPage, pages: count, fill }) => {
      const bytes = count * PAGE_BYTES;
      const start = at;
      ranges.push([start, start + bytes, fill === 0 ? 0 : 1]);
      if (fill !== 0) pages.push(new Uint8Array(bytes).fill(fill));
      at += bytes + (count % 2) * PAGE_BYTES;
      return [startPage * PAGE_BYTES, startPage * PAGE_BYTES + bytes, start];
    });
    return entry("file", path, { data: numbersOf([sizeBytes, ...numbers]) });
  });
  return {
    containerName: "main",
    version: 1,
    pageBytes: PAGE_BYTES,
    endian: "little",
    archive: archiveOf([...others, ...entries]),
    ranges,
    pages: new Uint8Array(Buffer.concat(pages)),
    tarEndOffBy: 0,
  };
}

/** What a file of a sample holds. */
export function contentOf({ sizeBytes, segments }: SampleFile): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (const { startPage, pages, fill } of segments)
    bytes.fill(fill, startPage * PAGE_BYTES, (startPage + pages) * PAGE_BYTES);
  return bytes;
}

/** Writes the four files, with another container's parts around this one's. */
export async function writeCheckpoint(folder: string, sample: SampleCheckpoint): Promise<void> {
  const memory = sample.ranges.map(([start, end, written]) =>
    field(3, [varint(1, start), varint(2, end), varint(5, written)]),
  );
  const message = Buffer.concat([varint(1, 1), ...memory]);
  const metadata = Buffer.concat([bytesOf(numbersOf([message.length])), message]);
  const around = Buffer.alloc(PAGE_BYTES, 0xee);
  const other = field(1, [field(1, [Buffer.from("other")]), field(2, [Buffer.from("/")])]);
  const own = field(1, [field(1, [Buffer.from(sample.containerName)]), field(2, [Buffer.from("/")])]);
  const end = PAGE_BYTES + sample.archive.length + sample.tarEndOffBy;
  const manifest = Buffer.concat([
    varint(1, sample.version),
    field(2, [Buffer.from("release-test")]),
    varint(3, sample.pageBytes),
    field(4, [Buffer.from(sample.endian)]),
    field(5, [other, varint(3, 7)]),
    field(5, [own, varint(2, 7), varint(3, 7 + metadata.length), varint(4, PAGE_BYTES)]),
    field(6, [other, varint(3, PAGE_BYTES)]),
    field(6, [own, varint(2, PAGE_BYTES), varint(3, end)]),
  ]);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "fscheckpoint.pb"), manifest);
  await writeFile(join(folder, "multitar.img"), Buffer.concat([around, sample.archive]));
  await writeFile(join(folder, "pages_meta.img"), Buffer.concat([Buffer.alloc(7, 1), metadata]));
  await writeFile(join(folder, "pages.img"), Buffer.concat([around, sample.pages]));
}

/** Numbers of 64 bits, as a byte string. */
export function numbersOf(numbers: readonly number[]): string {
  const bytes = Buffer.alloc(8 * numbers.length);
  for (const [index, each] of numbers.entries()) bytes.writeBigUInt64LE(BigInt(each), 8 * index);
  return bytes.toString("latin1");
}

function varint(number: number, value: number): Buffer {
  return Buffer.concat([digits(number * 8), digits(value)]);
}

function field(number: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([digits(number * 8 + 2), digits(body.length), body]);
}

function digits(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return Buffer.from([...bytes, rest]);
}
