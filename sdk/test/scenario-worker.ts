import { scenario } from "./scenario.ts";

/* Runs the scenario on an edge runtime, once a request. */
export default {
  async fetch(_request: Request, env: { readonly url: string }): Promise<Response> {
    return Response.json(await scenario(env.url).catch((error: unknown) => ({ failed: String(error) })));
  },
};
