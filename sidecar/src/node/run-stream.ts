import { FRAME_IDLE_MS } from "#api/agent-protocol.ts";
import { RUN_FRAME_KIND, RUN_HOLD_MS } from "#api/agent-run.ts";
import type { Clock } from "#core/clock.ts";
import { encodeLostFrame, IDLE_FRAME } from "#core/frames.ts";
import { ProblemError } from "#core/problem-error.ts";
import { encodeExitedFrame } from "#core/run-frames.ts";
import type { ExecSession, SessionStream } from "../domain/exec-session.ts";
import type { FollowOptions } from "../ports.ts";
import type { SegmentReader } from "./journal-store.ts";
import { readFrame } from "./read-frame.ts";

/** Most bytes of each stream in one piece of the body: what a reader that stalls costs. */
const CHUNK_BYTES = 256 << 10;
/** So much output is not held back. */
const HELD_BYTES = 64 << 10;

export interface RunDeps {
  readonly clock: Clock;
  readonly openReader: (streamIndex: 0 | 1) => SegmentReader;
  /** A reader has moved or left: a writer that waits for it may go on. */
  readonly onProgress: () => void;
}

/** Frames that leave together; `last` when nothing follows. */
interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly last: boolean;
}

/**
 * Frames of a command from its first bytes to its end: whole when it ends soon, else as a
 * stream. Both outputs are read from the journal where the peer takes them, so nothing is
 * buffered: a peer that stalls holds the writer back as any reader of an output does.
 */
export async function followRun(
  session: ExecSession,
  options: FollowOptions,
  deps: RunDeps,
): Promise<Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>> {
  checkKept(session);
  const run = attach(session, options, deps);
  try {
    const first = await run.held();
    if (first?.last) {
      run.leave();
      return first.bytes;
    }
    return streamOf(run, first?.bytes ?? IDLE_FRAME.slice());
  } catch (error) {
    run.leave();
    throw error;
  }
}

function checkKept({ id, state, streams }: ExecSession): void {
  if (state === "unknown")
    throw new ProblemError("outcome-unknown", `The agent restarted while the command "${id}" ran.`);
  for (const { first } of streams) {
    if (first > 0)
      throw new ProblemError("output-gone", `The first bytes are no longer kept, the first one is ${first}.`, {
        firstByte: first,
      });
  }
}

type Run = ReturnType<typeof attach>;

/** Readers of both streams, which hold back the dropping of what they have not got until `leave`. */
function attach(session: ExecSession, { signal, onClosed }: FollowOptions, { clock, openReader, onProgress }: RunDeps) {
  const over = new AbortController();
  const parts = ([0, 1] as const).map((index) => {
    const stream = session.streams[index];
    const reader = { offset: 0 };
    stream.readers.add(reader);
    const kind = index === 0 ? RUN_FRAME_KIND.stdout : RUN_FRAME_KIND.stderr;
    return { kind, stream, reader, segments: openReader(index) };
  });
  const bells = [session.wakers, ...session.streams.map(({ wakers }) => wakers)];

  function leave(): void {
    if (over.signal.aborted) return;
    over.abort();
    signal.removeEventListener("abort", leave);
    for (const { stream, reader, segments } of parts) {
      stream.readers.delete(reader);
      segments.close();
    }
    onClosed();
    onProgress();
  }
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();

  const waitingBytes = (): number => parts.reduce((sum, { stream, reader }) => sum + stream.end - reader.offset, 0);
  const isOver = (): boolean => session.state !== "running" && session.streams.every(isSettled);

  /** What can be sent now. */
  function take(): Piece | undefined {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for (const part of parts) {
      if (part.reader.offset !== part.stream.end) pieces.push(readFrame(part, part.kind, CHUNK_BYTES));
    }
    if (pieces.length > 0) onProgress();
    const last = isOver() && waitingBytes() === 0;
    if (last) pieces.push(lastFrame(session));
    return pieces.length === 0 ? undefined : { bytes: concat(pieces), last };
  }

  /** Resolves when something has changed, or when `until` settles. Rejects when the peer has gone. */
  async function changed(until: Promise<void>): Promise<void> {
    let wake = (): void => undefined;
    const change = new Promise<void>((resolve) => (wake = resolve));
    for (const bell of bells) bell.add(wake);
    try {
      await Promise.race([change, until]);
    } finally {
      for (const bell of bells) bell.delete(wake);
    }
  }

  return {
    leave,
    /** The first piece: all when the command ends while it is waited for. */
    async held(): Promise<Piece | undefined> {
      let late = false;
      const hold = clock.sleep(RUN_HOLD_MS, over.signal).then(() => void (late = true));
      hold.catch(() => undefined);
      while (!late && !isOver() && waitingBytes() < HELD_BYTES) await changed(hold);
      return take();
    },
    /** The next piece; an idle frame when there was none for long. */
    async next(): Promise<Piece> {
      const piece = take();
      if (piece !== undefined) return piece;
      const turn = new AbortController();
      let silent = false;
      const idle = clock.sleep(FRAME_IDLE_MS, AbortSignal.any([turn.signal, over.signal]));
      const until = idle.then(() => void (silent = true));
      until.catch(() => undefined);
      try {
        for (;;) {
          await changed(until);
          const found = take();
          if (found !== undefined) return found;
          if (silent) return { bytes: IDLE_FRAME.slice(), last: false };
        }
      } finally {
        turn.abort();
      }
    },
  };
}

/** One piece a pull. */
function streamOf(run: Run, first: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  let opening: Piece | undefined = { bytes: first, last: false };
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const piece = opening ?? (await run.next());
          opening = undefined;
          controller.enqueue(piece.bytes);
          if (!piece.last) return;
          run.leave();
          controller.close();
        } catch (error) {
          run.leave();
          throw error;
        }
      },
      cancel: run.leave,
    },
    { highWaterMark: 0 },
  );
}

function isSettled({ complete, lost }: SessionStream): boolean {
  return complete || lost;
}

function lastFrame({ exitCode, streams: [stdout, stderr] }: ExecSession): Uint8Array<ArrayBuffer> {
  if (stdout.lost || stderr.lost) return encodeLostFrame("The agent restarted while the command ran.");
  return encodeExitedFrame({ exitCode: exitCode ?? -1, stdoutBytes: stdout.end, stderrBytes: stderr.end });
}

function concat(pieces: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
