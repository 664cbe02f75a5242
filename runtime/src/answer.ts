import type { RequestContext } from "./gateway.ts";

/**
 * An answer with what every answer carries. Built at once: headers that are added to a response
 * one by one cost more than the rest of a small request. A stream that HEAD does not want ends here.
 */
export function answer(
  { env }: { readonly env: RequestContext },
  status: number,
  body: BodyInit | null,
  headers?: Readonly<Record<string, string>>,
): Response {
  const common = { "X-Request-Id": env.requestId, "X-Content-Type-Options": "nosniff" };
  const isUnwanted = body instanceof ReadableStream && env.request.method === "HEAD";
  if (isUnwanted) body.cancel().catch(() => undefined);
  return new Response(isUnwanted ? null : body, { status, headers: { ...common, ...headers } });
}

export function answerJson(c: { readonly env: RequestContext }, status: number, value: unknown): Response {
  return answerJsonText(c, status, JSON.stringify(value));
}

/** For JSON that is text already. */
export function answerJsonText({ env }: { readonly env: RequestContext }, status: number, text: string): Response {
  return new Response(text, {
    status,
    headers: {
      "X-Request-Id": env.requestId,
      "X-Content-Type-Options": "nosniff",
      "Content-Type": "application/json",
    },
  });
}
