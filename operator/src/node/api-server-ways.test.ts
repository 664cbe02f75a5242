import { KubeConfig } from "@kubernetes/client-node";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { createApiServerWays } from "./api-server-ways.ts";

it("createApiServerWays() lets the lease through while the work has taken all its connections", async () => {
  const held: ServerResponse[] = [];
  const server = createServer(({ url }, response) => {
    if (url === "/lease") response.end("{}");
    else held.push(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: "c", server: `http://127.0.0.1:${port}`, skipTLSVerify: true }, { name: "u" });
  const { work, lease } = createApiServerWays(config, "test");
  // One more than there are connections: whatever comes next waits.
  const busy = Array.from({ length: 65 }, () => work("/slow", {}));
  await expect.poll(() => held.length).toBe(64);
  expect((await lease("/lease", {})).status).toBe(200);
  expect(held).toHaveLength(64);
  for (const response of held) response.end("{}");
  await expect.poll(() => held.length).toBe(65);
  held.at(-1)?.end("{}");
  await Promise.all(busy);
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});
