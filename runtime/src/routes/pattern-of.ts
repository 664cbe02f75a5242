import { getPath } from "hono/utils/url";
import type { Gateway } from "../gateway.ts";
import type { PatternOf } from "../metrics/request-meter.ts";

/** Asks the router, for a request that never came to a handler which says it. */
export function createPatternOf({ router }: Gateway): PatternOf {
  return (request) => {
    // The app answers HEAD as GET.
    const method = request.method === "HEAD" ? "GET" : request.method;
    const [handlers] = router.match(method, getPath(request));
    return handlers.at(-1)?.[0][1].path;
  };
}
