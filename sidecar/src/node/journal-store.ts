import { appendFileSync, closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const LOG_NAME = "commands.log";
const SEGMENT_NAME = /^([0-9a-f-]{36})\.([01])\.(\d+)$/;

/** What lies in a stream's segment files. */
export interface StoredExtent {
  readonly first: number;
  readonly end: number;
}

/** The journal directory: a log of commands, and output in segments `<id>.<stream>.<number>` that the pump writes. */
export function createJournalStore(directory: string, segmentBytes: number) {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const logPath = join(directory, LOG_NAME);
  const segmentPath = (id: string, streamIndex: number, segment: number): string => join(directory, `${id}.${streamIndex}.${segment}`);
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
    appendLog(text: string): void {
      appendFileSync(logPath, text, { mode: 0o600 });
    },
    /** Either the old log or the new one is there at every moment. */
    replaceLog(text: string): void {
      writeFileSync(`${logPath}.new`, text, { mode: 0o600 });
      renameSync(`${logPath}.new`, logPath);
    },
    /** All streams that have segment files, by `<id>.<stream>`. */
    extents(): Map<string, StoredExtent> {
      const extents = new Map<string, StoredExtent>();
      for (const file of readdirSync(directory)) {
        const [, id, streamIndex, segment] = SEGMENT_NAME.exec(file) ?? [];
        if (id === undefined) continue;
        const start = Number(segment) * segmentBytes;
        const end = start + statSync(join(directory, file)).size;
        const key = `${id}.${streamIndex}`;
        const before = extents.get(key);
        extents.set(key, { first: Math.min(start, before?.first ?? start), end: Math.max(end, before?.end ?? end) });
      }
      return extents;
    },
    /** Reads at most `target.length` bytes from `offset`, to the end of a segment at most. The caller knows that they are there. */
    read(id: string, streamIndex: number, offset: number, target: Uint8Array): number {
      const segment = Math.floor(offset / segmentBytes);
      const fd = openSync(segmentPath(id, streamIndex, segment), "r");
      try {
        return readSync(fd, target, 0, target.length, offset - segment * segmentBytes);
      } finally {
        closeSync(fd);
      }
    },
    /** Removes the segments from the one with byte `from` on that end at or before `to`; all up to the last with `whole`. */
    drop(id: string, streamIndex: number, range: { readonly from: number; readonly to: number; readonly whole: boolean }): void {
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
