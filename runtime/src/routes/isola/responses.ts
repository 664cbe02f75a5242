import { Problem, PROBLEMS } from "#api/problem.ts";

type Status = 400 | 401 | 403 | 404 | 409 | 410 | 413 | 415 | 422 | 429 | 431 | 500 | 502 | 503;

/** Answers that every route can give. */
const COMMON: readonly Status[] = [401, 403, 422, 431, 500];

/** Problem documents for the OpenAPI document: the common ones and those named. */
export function problems(...statuses: Status[]) {
  const all = [...new Set([...COMMON, ...statuses])].sort((a, b) => a - b);
  return Object.fromEntries(
    all.map((status) => [
      status,
      { description: titles(status), content: { "application/problem+json": { schema: Problem } } },
    ]),
  );
}

function titles(status: Status): string {
  const kinds = Object.values(PROBLEMS).filter((kind) => kind.status === status);
  return kinds.map((kind) => kind.title).join(", ");
}
