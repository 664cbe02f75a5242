import * as z from "zod";
import type { HostRoute } from "./network.ts";

const Routes = z.array(
  z.object({
    dst: z.string(),
    dev: z.string().optional(),
    nexthops: z.array(z.object({ dev: z.string() })).optional(),
  }),
);

/** Routes out of `ip -j route show`: one for each interface that a route leads through. */
export function parseRoutes(json: string): HostRoute[] {
  // Without any route the tool prints nothing at all.
  const routes = Routes.parse(JSON.parse(json.trim() === "" ? "[]" : json));
  return routes.flatMap(({ dst, dev, nexthops = [] }) =>
    [...(dev === undefined ? [] : [dev]), ...nexthops.map((hop) => hop.dev)].map((each) => ({ dst, dev: each })),
  );
}
