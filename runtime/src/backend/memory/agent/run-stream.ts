import { FRAME_IDLE_MS } from "#api/agent-protocol.ts";
import { RUN_FRAME_KIND, RUN_HOLD_MS } from "#api/agent-run.ts";
import type { Clock } from "#core/clock.ts";
import { encodeLostFrame, IDLE_FRAME } from "#core/frames.ts";
import { encodeExitedFrame } from "#core/run-frames.ts";
import type { CommandRun } from "./command-run.ts";
import { breakOn, PAYLOAD_BYTES, payloadFrame } from "./frame-stream.ts";

export interface RunStreamOptions {
  readonly clock: Clock;
  /** Breaks the stream, as a connection that is cut. */
  readonly signal: AbortSignal;
}

/** A command's run as frames, from its first bytes to its end: one frame a pull. */
export function runStream(
  run: CommandRun,
  { clock, signal: cut }: RunStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const life = new AbortController();
  // A silent command's answer begins soon, too.
  let silenceMs = RUN_HOLD_MS;
  const parts = [
    { kind: RUN_FRAME_KIND.stdout, journal: run.stdout, reader: run.stdout.attach(0) },
    { kind: RUN_FRAME_KIND.stderr, journal: run.stderr, reader: run.stderr.attach(0) },
  ];
  const leave = (): void => {
    life.abort();
    for (const { reader } of parts) reader.detach();
  };

  function waiting(): Uint8Array<ArrayBuffer> | undefined {
    for (const { kind, reader } of parts) {
      const bytes = reader.take(PAYLOAD_BYTES);
      if (bytes !== undefined) return payloadFrame(kind, bytes);
    }
    return undefined;
  }

  function ending(): Uint8Array<ArrayBuffer> | undefined {
    const { state, exitCode, stdout, stderr } = run.view();
    if (state === "running") return undefined;
    const lost = parts.find(({ journal }) => journal.lost !== undefined)?.journal.lost;
    if (lost !== undefined) return encodeLostFrame(lost);
    return encodeExitedFrame({ exitCode: exitCode ?? -1, stdoutBytes: stdout.end, stderrBytes: stderr.end });
  }

  /** Resolves when something may have changed; false when nothing has for long. */
  async function changed(): Promise<boolean> {
    const turn = new AbortController();
    const signal = AbortSignal.any([life.signal, turn.signal]);
    const changes = [run.change.wait(signal), ...parts.map(({ reader }) => reader.changed(signal))];
    const idle = clock.sleep(silenceMs, signal).then(() => false);
    for (const wait of [...changes, idle]) wait.catch(() => undefined);
    try {
      return await Promise.race([...changes.map((change) => change.then(() => true)), idle]);
    } finally {
      turn.abort();
    }
  }

  return new ReadableStream(
    {
      start: (controller) => breakOn(cut, controller, { leave, life: life.signal }),
      async pull(controller) {
        for (let isNews = true; ; isNews = await changed()) {
          if (cut.aborted) return;
          const frame = waiting();
          if (frame !== undefined) return controller.enqueue(frame);
          const last = ending();
          if (last === undefined && isNews) continue;
          silenceMs = FRAME_IDLE_MS;
          controller.enqueue(last ?? IDLE_FRAME.slice());
          if (last === undefined) return;
          leave();
          return controller.close();
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}
