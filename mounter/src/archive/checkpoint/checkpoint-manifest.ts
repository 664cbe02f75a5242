import { ArchiveFault } from "../archive-fault.ts";
import { showBytes } from "../byte-string.ts";
import { readMessage, type ProtoMessage } from "./proto-message.ts";

export const PAGE_BYTES = 4096;
const FORMAT_VERSION = 1;
const ENDIAN = "little";

/** Bytes from one offset up to another. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Where in the files of a checkpoint one container's root file system lies. */
export interface ContainerParts {
  readonly runscVersion: string;
  /** Archive of the tree, in the multi-archive file. */
  readonly archive: Span;
  /** In the file of pages' metadata. */
  readonly pagesMetadata: Span;
  /** In the file of pages. */
  readonly pages: Span;
}

/** Sizes of the checkpoint's other files. */
export interface CheckpointSizes {
  readonly archives: number;
  readonly pagesMetadata: number;
  readonly pages: number;
}

/** Finds a container's root file system in a checkpoint; refuses what this release cannot read exactly. */
export function readManifest(bytes: Uint8Array, containerName: string, sizes: CheckpointSizes): ContainerParts {
  const manifest = readMessage(bytes);
  if (bytes.length === 0) throw new ArchiveFault("not-found", "the checkpoint is empty");
  checkForm(manifest);
  const memoryFiles = manifest.all(5).map(readMessage);
  const trees = manifest.all(6).map(readMessage);
  const index = memoryFiles.findIndex((each) => isRootOf(each, containerName));
  const memory = memoryFiles[index];
  const tree = trees.find((each) => isRootOf(each, containerName));
  if (memory === undefined || tree === undefined)
    throw new ArchiveFault("not-found", `the checkpoint has no root of a container "${showBytes(containerName)}"`);
  const nextPages = memoryFiles[index + 1]?.number(4) ?? sizes.pages;
  return {
    runscVersion: manifest.text(2),
    archive: span(tree.number(2), tree.number(3), sizes.archives, "archive"),
    pagesMetadata: span(memory.number(2), memory.number(3), sizes.pagesMetadata, "pages' metadata"),
    pages: span(memory.number(4), nextPages, sizes.pages, "pages"),
  };
}

function checkForm(manifest: ProtoMessage): void {
  if (manifest.number(1) !== FORMAT_VERSION)
    throw unsupported(`version ${manifest.number(1)}`, `version ${FORMAT_VERSION}`);
  if (manifest.number(3) !== PAGE_BYTES)
    throw unsupported(`pages of ${manifest.number(3)} bytes`, `pages of ${PAGE_BYTES}`);
  if (manifest.text(4) !== ENDIAN) throw unsupported(`${showBytes(manifest.text(4))} byte order`, ENDIAN);
}

function isRootOf(part: ProtoMessage, containerName: string): boolean {
  const id = readMessage(part.bytes(1));
  return id.text(1) === containerName && id.text(2) === "/";
}

function span(from: number, to: number, fileBytes: number, what: string): Span {
  if (from > to || to > fileBytes)
    throw new ArchiveFault("damaged", `the checkpoint's ${what} lie beyond their file of ${fileBytes} bytes`);
  return { from, to };
}

function unsupported(found: string, expected: string): ArchiveFault {
  return new ArchiveFault("unsupported", `the checkpoint is of ${found}; this release reads ${expected}`);
}
