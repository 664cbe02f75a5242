import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Ids } from "#core/ids.ts";
import { isObject } from "../domain/json.ts";
import { PATH_ONLY, type ContainerFinder } from "./containers.ts";
import type { Native } from "./native.ts";

/** A temporary file of an upload: its name in a directory of a container. */
interface Temporary {
  readonly container: string;
  readonly directory: string;
  readonly name: string;
}

export type UploadLog = ReturnType<typeof createUploadLog>;

const NAME = /^\.atoll-upload-[0-9a-f]{32}$/;
/** The log is emptied when it has grown to this and no upload is under way. */
const LONG_BYTES = 64 << 10;

/**
 * Names of temporary files, on the agent's own disk, written down before each is made: what an
 * agent that is killed leaves in a container, the next one removes.
 */
export function createUploadLog(path: string, ids: Ids) {
  let fd: number | undefined;
  let left: readonly Temporary[] | undefined;
  let underWay = 0;
  let sizeBytes = 0;

  /** What an earlier agent wrote: read before this one writes. */
  function load(): readonly Temporary[] {
    if (left !== undefined) return left;
    const text = readIfThere(path);
    sizeBytes = text.length;
    left = parseLog(text);
    return left;
  }

  return {
    /** A name for a new upload. Where it cannot be written down, a kill at the wrong moment leaves the file. */
    begin(container: string, directory: string): string {
      load();
      underWay += 1;
      const name = `.atoll-upload-${[...ids.bytes(16)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
      const line = `\n${JSON.stringify({ container, directory, name } satisfies Temporary)}\n`;
      try {
        fd ??= openSync(path, "a", 0o600);
        sizeBytes += writeSync(fd, line);
      } catch {
        // The agent's disk is full, which is no fault of this upload.
      }
      return name;
    },

    /** The upload's temporary file is gone: it has its name, or was removed. */
    end(): void {
      underWay -= 1;
      if (underWay > 0 || sizeBytes < LONG_BYTES || fd === undefined || load().length > 0) return;
      ftruncateSync(fd, 0);
      sizeBytes = 0;
    },

    /** Removes what an earlier agent left; a container or directory that is gone took it along. */
    sweep(native: Native, containers: ContainerFinder): void {
      for (const { container, directory, name } of load()) {
        try {
          const directoryFd = native.openIn(containers.find(container).rootFd, directory, PATH_ONLY);
          if (directoryFd < 0) continue;
          native.unlink(directoryFd, name);
          closeSync(directoryFd);
        } catch {
          // The container has ended.
        }
      }
      left = [];
    },
  };
}

/** Whole lines that say what one of ours says; a torn one names a file that was never made. */
function parseLog(text: string): Temporary[] {
  return text.split("\n").flatMap((line) => {
    try {
      const value: unknown = JSON.parse(line);
      if (!isObject(value)) return [];
      const { container, directory, name } = value;
      const isOurs = typeof container === "string" && typeof directory === "string" && typeof name === "string";
      return isOurs && directory.startsWith("/") && NAME.test(name) ? [{ container, directory, name }] : [];
    } catch {
      return [];
    }
  });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
