import { dlopen, ptr } from "bun:ffi";
import { encodeCStrings, startsOf, type CStrings } from "../domain/c-strings.ts";
import type { ResourceLimit } from "../domain/proc.ts";

/** Slots of the native part: most commands that run, or whose output pipes survivors hold, at once. */
export const SLOTS = 1024;
const LIMITS = 16;
const MESSAGE_BYTES = 16;

/** A report of the pump; `kind` numbers are those of `native/atoll.c`. */
export type PumpMessage =
  | {
      readonly kind: "data" | "paused" | "complete" | "closed";
      readonly slot: number;
      readonly streamIndex: 0 | 1;
      readonly end: number;
    }
  | { readonly kind: "failed"; readonly slot: number; readonly streamIndex: 0 | 1; readonly error: string }
  | { readonly kind: "exited"; readonly slot: number; readonly waitStatus: number }
  | { readonly kind: "stdinReady"; readonly slot: number };

export interface SpawnRequest {
  readonly slot: number;
  readonly rootFd: number;
  readonly workingDirectoryFd: number;
  /** `cgroup.procs` of the container's control group; -1 = none. */
  readonly groupFd: number;
  readonly argv: CStrings;
  readonly environment: CStrings;
  /** Programs to try; when none can be executed, `shellArgv` is. */
  readonly candidates: CStrings;
  readonly shellArgv: CStrings;
  readonly bounding: bigint;
  readonly inheritable: bigint;
  readonly noNewPrivileges: boolean;
  readonly limits: readonly ResourceLimit[];
  /** Journal files are `<name>.<stream>.<segment>`. */
  readonly name: string;
  /** Bytes each stream may journal before a grant. */
  readonly limitBytes: number;
}

export type SpawnResult =
  | { readonly kind: "started"; readonly pid: number; readonly stdinFd: number }
  /** `step`: 0 pipes or process, 1 root and working directory, 2 descriptors and limits, 3 dropping power, 4 executing, 5 joining the container's group. */
  | { readonly kind: "failed"; readonly error: string; readonly step: number };

/** Name of an errno, such as `ENOENT`; where a number has two, the usual one. */
export function errorName(number: number): string {
  // Asked for when there is an error, not imported: each module costs the agent's start-up milliseconds.
  const { errno } = process.getBuiltinModule("node:os").constants;
  return Object.entries(errno).find(([, value]) => value === Math.abs(number))?.[0] ?? `errno ${Math.abs(number)}`;
}

/** The native library: process start, output pump and confined file calls. Calls give 0 or more, or a negative errno. */
export function loadNative(path: string) {
  const { symbols } = dlopen(path, {
    atoll_start: { args: ["ptr", "i64"], returns: "i32" },
    atoll_spawn: { args: ["ptr"], returns: "i32" },
    atoll_grant: { args: ["u32", "u32", "i64"], returns: "i32" },
    atoll_kill: { args: ["u32"], returns: "i32" },
    atoll_await_stdin: { args: ["u32", "i32"], returns: "i32" },
    atoll_open_in: { args: ["i32", "ptr", "i64"], returns: "i32" },
    atoll_open_at: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
    atoll_make_directory: { args: ["i32", "ptr"], returns: "i32" },
    atoll_change_owner: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
    atoll_rename: { args: ["i32", "ptr", "ptr"], returns: "i32" },
    atoll_unlink: { args: ["i32", "ptr"], returns: "i32" },
    atoll_read_link: { args: ["i32", "ptr", "ptr", "i64"], returns: "i32" },
    atoll_file_system: { args: ["i32"], returns: "i64" },
    atoll_write: { args: ["i32", "ptr", "i64"], returns: "i32" },
  });
  /** A call with one or two names as C strings. */
  const named = (
    call: (...values: (number | bigint)[]) => number,
    fd: number,
    name: string,
    ...rest: (number | bigint)[]
  ): number => {
    const bytes = encodeCStrings([name]);
    return call(fd, ptr(bytes), ...rest);
  };
  return {
    /** Starts the pump over a journal directory; gives the descriptor of its messages. */
    start(directory: string, segmentBytes: number): number {
      const bytes = encodeCStrings([directory]);
      return symbols.atoll_start(ptr(bytes), BigInt(segmentBytes));
    },
    spawn: (request: SpawnRequest): SpawnResult => spawn(symbols.atoll_spawn, request),
    grant: (slot: number, streamIndex: number, limit: number): number =>
      symbols.atoll_grant(slot, streamIndex, BigInt(limit)),
    kill: (slot: number): number => symbols.atoll_kill(slot),
    awaitStdin: (slot: number, fd: number): number => symbols.atoll_await_stdin(slot, fd),
    openIn: (rootFd: number, path: string, flags: number): number =>
      named(symbols.atoll_open_in, rootFd, path, BigInt(flags)),
    openAt: (fd: number, name: string, flags: number, mode: number): number =>
      named(symbols.atoll_open_at, fd, name, flags, mode),
    makeDirectory: (fd: number, name: string): number => named(symbols.atoll_make_directory, fd, name),
    changeOwner: (fd: number, name: string, uid: number, gid: number): number =>
      named(symbols.atoll_change_owner, fd, name, uid, gid),
    unlink: (fd: number, name: string): number => named(symbols.atoll_unlink, fd, name),
    rename(fd: number, from: string, to: string): number {
      const target = encodeCStrings([to]);
      return named(symbols.atoll_rename, fd, from, ptr(target));
    },
    /** Text of a symbolic link, or a negative errno. */
    readLink(fd: number, name: string): string | number {
      const target = new Uint8Array(4096);
      const count = named(symbols.atoll_read_link, fd, name, ptr(target), BigInt(target.length));
      return count < 0 ? count : new TextDecoder().decode(target.subarray(0, count));
    },
    fileSystem: (fd: number): number => Number(symbols.atoll_file_system(fd)),
    write: (fd: number, bytes: Uint8Array): number => symbols.atoll_write(fd, ptr(bytes), BigInt(bytes.length)),
  };
}

export type Native = ReturnType<typeof loadNative>;

function spawn(call: (pointer: number) => number, request: SpawnRequest): SpawnResult {
  const name = encodeCStrings([request.name]);
  const argv = pointers(request.argv);
  const environment = pointers(request.environment);
  const candidates = pointers(request.candidates);
  const shell = pointers(request.shellArgv);
  const limits = limitWords(request.limits);
  const words = BigInt64Array.from(
    [
      request.rootFd,
      request.workingDirectoryFd,
      request.groupFd,
      ptr(argv),
      ptr(environment),
      ptr(candidates),
      ptr(shell),
      request.bounding,
      request.inheritable,
      request.noNewPrivileges ? 1 : 0,
      ptr(limits),
      ptr(name),
      request.slot,
      request.limitBytes,
      0,
      0,
      0,
    ].map(BigInt),
  );
  const result = call(ptr(words));
  const [pid, stdinFd, step] = [words[14], words[15], words[16]].map(Number);
  if (result < 0) return { kind: "failed", error: errorName(result), step: step ?? 0 };
  return { kind: "started", pid: pid ?? 0, stdinFd: stdinFd ?? -1 };
}

/** A `char **` over C strings, which the caller keeps alive. */
function pointers(strings: CStrings): BigUint64Array {
  const starts = startsOf(strings);
  const base = strings.length === 0 ? 0 : ptr(strings);
  const list = new BigUint64Array(starts.length + 1);
  starts.forEach((start, index) => (list[index] = BigInt(base + start)));
  return list;
}

/** `struct rlimit[16]`; entries that are not to be set have a soft limit above the hard one. */
function limitWords(limits: readonly ResourceLimit[]): BigUint64Array {
  const words = new BigUint64Array(LIMITS * 2);
  for (let index = 0; index < LIMITS; index += 1) words[index * 2] = 1n;
  for (const { resource, soft, hard } of limits) words.set([soft, hard], resource * 2);
  return words;
}

const KINDS = [undefined, "data", "paused", "failed", "complete", "closed", "exited", "stdinReady"] as const;

/** Calls `onMessages` with all messages of each arrival together. The socket's pieces may split a message. */
export async function listenToPump(fd: number, onMessages: (messages: PumpMessage[]) => void): Promise<void> {
  let held = new Uint8Array(0);
  const data = (_: unknown, bytes: Uint8Array): void => {
    const all = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
    const whole = all.length - (all.length % MESSAGE_BYTES);
    const view = new DataView(all.buffer, all.byteOffset, whole);
    const messages: PumpMessage[] = [];
    for (let at = 0; at < whole; at += MESSAGE_BYTES) messages.push(readMessage(view, at));
    held = all.slice(whole);
    onMessages(messages);
  };
  const close = (): void => {
    throw new Error("The output pump has stopped");
  };
  await Bun.connect({ fd, socket: { data, close } });
}

function readMessage(view: DataView, at: number): PumpMessage {
  const kind = KINDS[view.getUint32(at, true)];
  const target = view.getUint32(at + 4, true);
  const value = Number(view.getBigInt64(at + 8, true));
  const stream = { slot: target >> 1, streamIndex: (target & 1) as 0 | 1 };
  switch (kind) {
    case "exited":
      return { kind, slot: target, waitStatus: value };
    case "stdinReady":
      return { kind, slot: target };
    case "failed":
      return { kind, ...stream, error: errorName(value) };
    case undefined:
      throw new RangeError(`Cannot read a message of the pump: unknown kind ${view.getUint32(at, true)}`);
    case "data":
    case "paused":
    case "complete":
    case "closed":
      return { kind, ...stream, end: value };
  }
}
