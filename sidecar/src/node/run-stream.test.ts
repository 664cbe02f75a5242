import fc from "fast-check";
import { expect, test } from "vitest";
import type { Clock } from "#core/clock.ts";
import { createRunDecoder, type RunEvent } from "../../../sdk/src/run-frames.ts";
import { createSession, endSession, wakeAll, type ExecSession } from "../domain/exec-session.ts";
import { followRun } from "./run-stream.ts";

const ID = "00000000-0000-4000-8000-000000000000";

/** A command whose output is written by the test, and a clock that the test moves. */
function fixture() {
  const session = createSession({ id: ID, container: "main", digest: "" });
  const written: [number[], number[]] = [[], []];
  const sleepers = new Set<() => void>();
  let closed = 0;
  const clock: Clock = {
    now: () => 0,
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        sleepers.add(resolve);
        signal?.addEventListener("abort", () => reject(signal.reason));
      }),
  };
  const abort = new AbortController();
  return {
    session,
    written,
    abort,
    closed: () => closed,
    readers: () => session.streams.reduce((sum, { readers }) => sum + readers.size, 0),
    write(index: 0 | 1, bytes: readonly number[]) {
      written[index].push(...bytes);
      session.streams[index].end += bytes.length;
      wakeAll(session.streams[index].wakers);
    },
    end(exitCode: number) {
      endSession(session, exitCode << 8, 1);
      for (const stream of session.streams) {
        stream.complete = true;
        wakeAll(stream.wakers);
      }
      wakeAll(session.wakers);
    },
    /** All waits are over. */
    pass() {
      const due = [...sleepers];
      sleepers.clear();
      for (const wake of due) wake();
    },
    follow: () =>
      followRun(
        session,
        { signal: abort.signal, onClosed: () => (closed += 1) },
        {
          clock,
          onProgress: () => undefined,
          openReader: (index) => ({
            // A segment ends anywhere: at most seven bytes at once.
            read(offset, target) {
              const bytes = written[index].slice(offset, offset + Math.min(target.length, 7));
              target.set(bytes);
              return bytes.length;
            },
            close: () => undefined,
          }),
        },
      ),
  };
}

function decode(pieces: readonly Uint8Array<ArrayBuffer>[]) {
  const push = createRunDecoder();
  const events = pieces.flatMap((piece) => [...push(piece)]);
  const bytesOf = (kind: string): number[] =>
    events.flatMap((event) => (event.kind === kind && "bytes" in event ? [...event.bytes] : []));
  const ends = events.filter(({ kind }) => kind === "exited" || kind === "lost");
  return {
    stdout: bytesOf("stdout"),
    stderr: bytesOf("stderr"),
    ends,
    idle: events.some(({ kind }) => kind === "idle"),
  };
}

function exited(exitCode: number, stdoutBytes: number, stderrBytes: number): RunEvent[] {
  return [{ kind: "exited", exitCode, stdoutBytes, stderrBytes }];
}

test("followRun(): a command that ends while it is waited for is one array, its streams read from the start", async () => {
  const { follow, write, end, closed, readers } = fixture();
  const answer = follow();
  write(1, [9]);
  write(0, [1, 2, 3]);
  end(3);
  const bytes = await answer;
  expect(bytes).toBeInstanceOf(Uint8Array);
  expect(decode([bytes as Uint8Array<ArrayBuffer>])).toMatchObject({
    stdout: [1, 2, 3],
    stderr: [9],
    ends: exited(3, 3, 1),
  });
  expect([closed(), readers()]).toEqual([1, 0]);
});

test("followRun(): whatever is written between the reads comes once, in order, and the end after all of it", async () => {
  const step = fc.oneof(
    fc.record({ index: fc.constantFrom(0 as const, 1 as const), size: fc.integer({ min: 1, max: 20 }) }),
    fc.constant("read" as const),
    fc.constant("pass" as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const { follow, write, end, pass, written, closed, readers } = fixture();
      const answer = follow();
      pass();
      const body = (await answer) as ReadableStream<Uint8Array<ArrayBuffer>>;
      const reader = body.getReader();
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      let reading: Promise<void> | undefined;
      const read = (): Promise<void> =>
        reader.read().then(({ value }) => {
          if (value !== undefined) pieces.push(value);
          reading = undefined;
        });
      let next = 0;
      for (const action of steps) {
        if (action === "pass") pass();
        else if (action === "read") reading ??= read();
        else
          write(
            action.index,
            Array.from({ length: action.size }, () => (next += 1) % 256),
          );
        await Promise.resolve();
      }
      end(7);
      await reading;
      for (let result = await reader.read(); !result.done; result = await reader.read()) pieces.push(result.value);
      const [stdout, stderr] = written;
      expect(decode(pieces)).toMatchObject({ stdout, stderr, ends: exited(7, stdout.length, stderr.length) });
      expect([closed(), readers()]).toEqual([1, 0]);
    }),
  );
});

test("followRun(): a silent command's answer begins with an idle frame, and its reader holds nothing once it left", async () => {
  const { follow, pass, closed, readers } = fixture();
  const answer = follow();
  pass();
  const reader = ((await answer) as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
  const { value } = await reader.read();
  expect(decode(value === undefined ? [] : [value])).toMatchObject({ idle: true, ends: [] });
  expect(readers()).toBe(2);
  await reader.cancel();
  expect([closed(), readers()]).toEqual([1, 0]);
});

test("followRun(): a peer that goes while the answer is held ends it", async () => {
  const { follow, abort, closed, readers } = fixture();
  const answer = follow();
  abort.abort(new Error("gone"));
  await expect(answer).rejects.toThrow();
  expect([closed(), readers()]).toEqual([1, 0]);
});

test.each([
  ["outcome-unknown", (session: ExecSession) => void (session.state = "unknown")],
  ["output-gone", (session: ExecSession) => void (session.streams[1].first = 5)],
])("followRun(): %s is said before the answer begins", async (slug, change) => {
  const { follow, session, readers } = fixture();
  change(session);
  await expect(follow()).rejects.toMatchObject({ slug });
  expect(readers()).toBe(0);
});
