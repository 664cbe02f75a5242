import { FRAME_MEDIA_TYPE } from "#api/agent-protocol.ts";
import { answer } from "../../answer.ts";
import type { GatewayContext } from "../../gateway.ts";

export const STREAM_HEADERS = { "Cache-Control": "no-cache, private", "X-Accel-Buffering": "no" };

/** True for a client that asks for frames by name. */
export function wantsFrames(c: GatewayContext): boolean {
  return (c.req.header("accept") ?? "").includes(FRAME_MEDIA_TYPE);
}

/** An answer that goes on for as long as its body, which nobody on the way may keep. */
export function answerStream(
  c: GatewayContext,
  mediaType: string,
  body: ReadableStream<Uint8Array>,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return answer(c, 200, body, { ...STREAM_HEADERS, ...headers, "Content-Type": mediaType });
}
