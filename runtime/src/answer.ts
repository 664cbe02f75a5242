import type { GatewayContext } from "./gateway.ts";

/**
 * An answer with what every answer carries. Built at once: headers that are added to a response
 * one by one cost more than the rest of a small request.
 */
export function answer(
  c: GatewayContext,
  status: number,
  body: BodyInit | null,
  headers?: Readonly<Record<string, string>>,
): Response {
  const common = { "X-Request-Id": c.get("requestId"), "X-Content-Type-Options": "nosniff" };
  return new Response(body, { status, headers: { ...common, ...headers } });
}

export function answerJson(c: GatewayContext, status: number, value: unknown): Response {
  return answer(c, status, JSON.stringify(value), { "Content-Type": "application/json" });
}
