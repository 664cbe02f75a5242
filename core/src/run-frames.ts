import { FRAME_HEADER_BYTES } from "#api/agent-protocol.ts";
import { RUN_EXITED_PAYLOAD_BYTES, RUN_FRAME_KIND } from "#api/agent-run.ts";
import { writeFrameHeader } from "./frames.ts";

/** How a run ended. `exitCode` is -1 when a signal ended it; lengths are of the whole streams, in bytes. */
export interface RunEnd {
  readonly exitCode: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

/** The last frame of a complete run. Throws RangeError when a length is none. */
export function encodeExitedFrame({ exitCode, stdoutBytes, stderrBytes }: RunEnd): Uint8Array<ArrayBuffer> {
  for (const length of [stdoutBytes, stderrBytes]) {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`Cannot encode the end of a run: ${length} bytes is not a length`);
    }
  }
  const frame = new Uint8Array(FRAME_HEADER_BYTES + RUN_EXITED_PAYLOAD_BYTES);
  writeFrameHeader(frame, RUN_FRAME_KIND.exited, RUN_EXITED_PAYLOAD_BYTES);
  const payload = new DataView(frame.buffer, FRAME_HEADER_BYTES);
  payload.setInt32(0, exitCode);
  payload.setBigUint64(4, BigInt(stdoutBytes));
  payload.setBigUint64(12, BigInt(stderrBytes));
  return frame;
}
