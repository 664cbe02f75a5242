import { serve } from "@hono/node-server";
import { Hono } from "hono";

/** The least a gateway could do: the baseline of its request rate. Started with the port as argument. */
const port = Number(process.argv[2]);
const app = new Hono();
const body = {
  id: "q3v8k2m5n7p1r4t6w9xayc",
  podTemplate: { containers: [{ name: "sandbox0", image: "atoll/debian" }] },
  status: "Running",
  creationTimestamp: "2026-01-01T00:00:00Z",
  startupTimeoutSeconds: 90,
};
app.get("/v1/sandboxes/:id", (context) => context.json(body));
app.get("/readyz", (context) => context.json({ status: "ok" }));

const runtime = globalThis as {
  Bun?: { serve(options: { port: number; hostname: string; fetch: typeof app.fetch }): unknown };
  Deno?: { serve(options: { port: number; hostname: string }, fetch: typeof app.fetch): unknown };
};
if (runtime.Bun !== undefined) runtime.Bun.serve({ port, hostname: "127.0.0.1", fetch: app.fetch });
else if (runtime.Deno !== undefined) runtime.Deno.serve({ port, hostname: "127.0.0.1" }, app.fetch);
else serve({ port, hostname: "127.0.0.1", fetch: app.fetch });
