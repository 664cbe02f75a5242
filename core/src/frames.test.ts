import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FRAME_KIND, FRAME_MAX_PAYLOAD_BYTES } from "#api/agent.ts";
import { decodeFrames, encodeEndFrame, encodeFrameHeader, encodeLostFrame, IDLE_FRAME, type Frame } from "./frames.ts";

function streamOf(chunks: readonly Uint8Array<ArrayBuffer>[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  const queue = [...chunks];
  return new ReadableStream({
    pull(controller) {
      const chunk = queue.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
  });
}

function join(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(chunks));
}

function dataFrame(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return join([encodeFrameHeader(FRAME_KIND.data, bytes.length), bytes]);
}

/** Cuts at each of the positions, so that frames arrive in any split. */
function split(bytes: Uint8Array<ArrayBuffer>, cuts: readonly number[]): Uint8Array<ArrayBuffer>[] {
  const positions = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  return positions.slice(1).map((end, index) => bytes.slice(positions[index], end));
}

async function collect(chunks: readonly Uint8Array<ArrayBuffer>[]): Promise<Frame[]> {
  const frames: Frame[] = [];
  for await (const frame of decodeFrames(streamOf(chunks))) frames.push(frame);
  return frames;
}

function dataOf(frames: readonly Frame[]): Uint8Array {
  return join(frames.flatMap((frame) => (frame.kind === "data" ? [frame.bytes] : [])));
}

describe("decodeFrames()", () => {
  test("gives the same bytes and the same end for any split of the body", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.option(fc.uint8Array({ minLength: 1, maxLength: 300 })), { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        async (payloads, cuts) => {
          const data = join(payloads.filter((payload) => payload !== null));
          const body = join([
            ...payloads.map((payload) => (payload === null ? IDLE_FRAME : dataFrame(payload))),
            encodeEndFrame(data.length),
          ]);
          const frames = await collect(split(body, cuts));
          expect(dataOf(frames)).toEqual(data);
          expect(frames.filter((frame) => frame.kind === "idle")).toHaveLength(
            payloads.filter((payload) => payload === null).length,
          );
          expect(frames.at(-1)).toEqual({ kind: "end", totalBytes: data.length });
        },
      ),
    );
  });

  test("hands out a part of a data frame before the rest arrives", async () => {
    const frame = dataFrame(new Uint8Array(100).fill(7));
    const reader = decodeFrames(streamOf([frame.slice(0, 20), frame.slice(20)]));
    expect((await reader.next()).value).toEqual({ kind: "data", bytes: new Uint8Array(15).fill(7) });
    await reader.return();
  });

  test("ends without end or lost when the body was cut anywhere", async () => {
    const body = join([dataFrame(new Uint8Array([1, 2, 3])), encodeEndFrame(3)]);
    for (let cut = 0; cut < body.length; cut += 1) {
      const kinds = (await collect([body.slice(0, cut)])).map((frame) => frame.kind);
      expect(kinds).not.toContain("end");
      expect(kinds).not.toContain("lost");
    }
  });

  test("keeps a reason's text, and cuts a long one between characters", async () => {
    expect(await collect([encodeLostFrame("The agent restarted.")])).toEqual([
      { kind: "lost", reason: "The agent restarted." },
    ]);
    expect(await collect([encodeLostFrame("é".repeat(2000))])).toEqual([{ kind: "lost", reason: "é".repeat(512) }]);
    expect(await collect([encodeLostFrame("")])).toEqual([{ kind: "lost", reason: "" }]);
  });

  test.each([
    ["an unknown kind", [9, 0, 0, 0, 0]],
    ["an empty data frame", [1, 0, 0, 0, 0]],
    ["a data frame that is too long", [1, 0, 0x10, 0, 1]],
    ["an idle frame with a payload", [2, 0, 0, 0, 1, 0]],
    ["an end frame of 7 bytes", [3, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]],
    ["an end frame beyond safe integers", [3, 0, 0, 0, 8, 0xff, 0, 0, 0, 0, 0, 0, 0]],
    ["a reason that is too long", [4, 0, 0, 4, 1]],
    ["bytes after the end", [...encodeEndFrame(0), 2]],
  ])("throws TypeError on %s", async (_, bytes) => {
    await expect(collect([new Uint8Array(bytes)])).rejects.toThrow(TypeError);
  });

  test("cancels the body when the loop is left early", async () => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => controller.enqueue(IDLE_FRAME),
      cancel: () => void (cancelled = true),
    });
    for await (const frame of decodeFrames(body)) {
      expect(frame.kind).toBe("idle");
      break;
    }
    expect(cancelled).toBe(true);
  });
});

test("encodeFrameHeader() throws RangeError beyond the largest payload", () => {
  expect(encodeFrameHeader(FRAME_KIND.data, FRAME_MAX_PAYLOAD_BYTES)).toEqual(new Uint8Array([1, 0, 0x10, 0, 0]));
  expect(() => encodeFrameHeader(FRAME_KIND.data, FRAME_MAX_PAYLOAD_BYTES + 1)).toThrow(RangeError);
});
