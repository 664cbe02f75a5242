import { ProblemError } from "#core/problem-error.ts";

/** What a snapshot holds of a container's files. */
export interface FileTree {
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  readonly directories: ReadonlySet<string>;
  readonly bytes: number;
}

/** Mounts of their own: no snapshot holds what is below them. */
const OTHER_MOUNTS = ["/tmp", "/dev"];

/** The files of one simulated container, by absolute path. Every directory above a file exists. */
export interface FileStore {
  /** Absolute path without `.` and `..`; `..` stops at the root. */
  resolve(path: string, cwd: string): string;
  exists(path: string): boolean;
  isDirectory(path: string): boolean;
  /** `file-not-found` or `not-a-file`. */
  read(path: string): Uint8Array<ArrayBuffer>;
  /** Replaces the file; `bad-path` below a file or on a directory, `disk-full` beyond the budget. */
  write(path: string, bytes: Uint8Array<ArrayBuffer>): void;
  append(path: string, bytes: Uint8Array<ArrayBuffer>): void;
  /** `disk-full` when so many more bytes do not fit. */
  reserve(bytes: number): void;
  /** All that a snapshot holds; later writes do not change it. */
  copy(): FileTree;
  /** Puts a tree over what is there; `disk-full` when it does not fit. */
  load(tree: FileTree): void;
}

export function createFileStore(maxBytes: number): FileStore {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const directories = new Set(["/", "/tmp", "/root", "/bin", "/dev", "/etc"]);
  let usedBytes = 0;

  const store: FileStore = {
    resolve(path, cwd) {
      const parts: string[] = [];
      for (const part of (path.startsWith("/") ? path : `${cwd}/${path}`).split("/")) {
        if (part === "..") parts.pop();
        else if (part !== "" && part !== ".") parts.push(part);
      }
      return `/${parts.join("/")}`;
    },
    exists: (path) => files.has(path) || directories.has(path),
    isDirectory: (path) => directories.has(path),
    read(path) {
      const bytes = files.get(path);
      if (bytes !== undefined) return bytes;
      if (directories.has(path))
        throw new ProblemError("not-a-file", `Cannot read "${path}": it is not a regular file.`);
      throw new ProblemError("file-not-found", `Cannot read "${path}": there is no such file.`);
    },
    write(path, bytes) {
      if (directories.has(path))
        throw new ProblemError("not-a-file", `Cannot write "${path}": it is not a regular file.`);
      const parents = parentsOf(path);
      const file = parents.find((parent) => files.has(parent));
      if (file !== undefined)
        throw new ProblemError("bad-path", `Cannot write "${path}": "${file}" is not a directory.`);
      const more = bytes.length - (files.get(path)?.length ?? 0);
      store.reserve(more);
      usedBytes += more;
      for (const parent of parents) directories.add(parent);
      files.set(path, bytes);
    },
    append(path, bytes) {
      const before = files.get(path) ?? new Uint8Array(0);
      const joined = new Uint8Array(before.length + bytes.length);
      joined.set(before);
      joined.set(bytes, before.length);
      store.write(path, joined);
    },
    reserve(bytes) {
      if (usedBytes + bytes > maxBytes) throw new ProblemError("disk-full", "The container's disk is full.");
    },
    copy() {
      const kept = new Map([...files].filter(([path]) => isKept(path)));
      const bytes = [...kept.values()].reduce((sum, { length }) => sum + length, 0);
      return { files: kept, directories: new Set([...directories].filter(isKept)), bytes };
    },
    load(tree) {
      for (const path of tree.directories) directories.add(path);
      for (const [path, bytes] of tree.files) store.write(path, bytes);
    },
  };
  return store;
}

function parentsOf(path: string): string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join("/")}`);
}

function isKept(path: string): boolean {
  return !OTHER_MOUNTS.some((mount) => path.startsWith(`${mount}/`));
}
