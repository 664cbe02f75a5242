import { FRAME_HEADER_BYTES } from "#api/agent-protocol.ts";
import { writeFrameHeader } from "#core/frames.ts";
import type { SessionStream } from "../domain/exec-session.ts";
import type { SegmentReader } from "./journal-store.ts";

/** Where a reader of a stream is. */
export interface StreamPlace {
  readonly stream: SessionStream;
  readonly reader: { offset: number };
  readonly segments: SegmentReader;
}

/** The next bytes of a stream as one frame of this kind, at most `mostBytes` of them; the caller knows that there are some. */
export function readFrame(
  { stream, reader, segments }: StreamPlace,
  kind: number,
  mostBytes: number,
): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + Math.min(mostBytes, stream.end - reader.offset));
  const count = segments.read(reader.offset, frame.subarray(FRAME_HEADER_BYTES));
  if (count <= 0) throw new Error(`Cannot read output at ${reader.offset}: the journal ends before ${stream.end}`);
  writeFrameHeader(frame, kind, count);
  reader.offset += count;
  return frame.subarray(0, FRAME_HEADER_BYTES + count);
}
