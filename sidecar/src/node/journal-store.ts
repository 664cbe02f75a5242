import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";

const LOG_NAME = "commands.log";
const SEGMENT_NAME = /^([0-9a-f-]{36})\.([01])\.(\d+)$/;

/** What lies in a stream's segment files. */
export interface StoredExtent {
  readonly first: number;
  readonly end: number;
}

export interface SegmentReader {
  /** Reads at most `target.length` bytes from `offset`, to the end of a segment at most. */
  read(offset: number, target: Uint8Array): number;
  close(): void;
}

/** The journal directory: a log of commands, and output in segments `<id>.<stream>.<number>` that the pump writes. */
export function createJournalStore(directory: string, segmentBytes: number) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let logFd: number | undefined;
  const logPath = `${directory}/${LOG_NAME}`;
  const segmentPath = (id: string, streamIndex: number, segment: number): string =>
    `${directory}/${id}.${streamIndex}.${segment}`;
  return {
    directory,
    segmentBytes,
    readLog(): string {
      try {
        return readFileSync(logPath, "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
        throw error;
      }
    },
    /** All of the text or, when it throws, nothing: half a line would spoil the next one. */
    appendLog(text: string): void {
      logFd ??= openSync(logPath, "a", 0o600);
      const bytes = Buffer.from(text);
      let written = 0;
      try {
        while (written < bytes.length) written += writeSync(logFd, bytes, written);
      } catch (error) {
        if (written > 0) ftruncateSync(logFd, fstatSync(logFd).size - written);
        throw error;
      }
    },
    /** Either the old log or the new one is there at every moment. */
    replaceLog(text: string): void {
      try {
        writeFileSync(`${logPath}.new`, text, { mode: 0o600 });
      } catch (error) {
        rmSync(`${logPath}.new`, { force: true });
        throw error;
      }
      renameSync(`${logPath}.new`, logPath);
      if (logFd !== undefined) closeSync(logFd);
      logFd = undefined;
    },
    /** All streams that have segment files, by `<id>.<stream>`. */
    extents(): Map<string, StoredExtent> {
      const extents = new Map<string, StoredExtent>();
      for (const file of readdirSync(directory)) {
        const [, id, streamIndex, segment] = SEGMENT_NAME.exec(file) ?? [];
        if (id === undefined) continue;
        const start = Number(segment) * segmentBytes;
        const end = start + statSync(`${directory}/${file}`).size;
        const key = `${id}.${streamIndex}`;
        const before = extents.get(key);
        extents.set(key, { first: Math.min(start, before?.first ?? start), end: Math.max(end, before?.end ?? end) });
      }
      return extents;
    },
    /** A reader of one stream; it keeps the segment it reads open. The caller knows that the bytes are there. */
    openReader(id: string, streamIndex: number): SegmentReader {
      let open: { readonly segment: number; readonly fd: number } | undefined;
      const close = (): void => {
        if (open !== undefined) closeSync(open.fd);
        open = undefined;
      };
      return {
        read(offset, target) {
          const segment = Math.floor(offset / segmentBytes);
          if (open?.segment !== segment) {
            close();
            open = { segment, fd: openSync(segmentPath(id, streamIndex, segment), "r") };
          }
          return readSync(open.fd, target, 0, target.length, offset - segment * segmentBytes);
        },
        close,
      };
    },
    /** Removes the segments from the one with byte `from` on that end at or before `to`; all up to the last with `whole`. */
    drop(
      id: string,
      streamIndex: number,
      range: { readonly from: number; readonly to: number; readonly whole: boolean },
    ): void {
      const last = range.whole ? Math.ceil(range.to / segmentBytes) : Math.floor(range.to / segmentBytes);
      for (let segment = Math.floor(range.from / segmentBytes); segment < last; segment += 1) {
        try {
          unlinkSync(segmentPath(id, streamIndex, segment));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
        }
      }
    },
  };
}

export type JournalStore = ReturnType<typeof createJournalStore>;
