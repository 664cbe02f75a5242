import type { Supervisor } from "./supervisor.ts";

const SIGNALS = ["SIGTERM", "SIGKILL", "SIGSTOP", "SIGCONT", "SIGHUP", "SIGQUIT"];

/**
 * Answers what the machine asks of the supervisor: `GET /components`, and `POST /components/NAME/ACTION`
 * with the actions `start`, `stop` and `kill?signal=SIGKILL`.
 */
export async function answerControl(
  request: { method: string; url: string },
  supervisor: Supervisor,
): Promise<Response> {
  const url = new URL(request.url, "http://testbed");
  const [, folder, name, action] = url.pathname.split("/");
  if (folder !== "components") return refusal(404, `there is nothing at ${url.pathname}`);
  if (request.method === "GET" && name === undefined) return Response.json(await supervisor.status());
  if (request.method !== "POST" || name === undefined)
    return refusal(405, "components take POST to one of their actions");
  const done = await act(supervisor, name, action, url.searchParams.get("signal") ?? "SIGKILL");
  if (typeof done === "string") return refusal(400, done);
  return done ? new Response(null, { status: 204 }) : refusal(404, `there is no component "${name}" that runs`);
}

async function act(
  supervisor: Supervisor,
  name: string,
  action: string | undefined,
  signal: string,
): Promise<boolean | string> {
  switch (action) {
    case "start":
      return supervisor.start(name);
    case "stop":
      return supervisor.stop(name);
    case "kill":
      return SIGNALS.includes(signal)
        ? supervisor.kill(name, signal)
        : `the signal must be one of ${SIGNALS.join(", ")}`;
    case undefined:
    default:
      return `a component can be started, stopped and killed, not "${action ?? ""}"`;
  }
}

function refusal(status: number, message: string): Response {
  return Response.json({ message }, { status });
}
