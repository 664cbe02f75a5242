import { once } from "node:events";
import { createServer } from "node:net";

/** A TCP port of this machine that nobody listens at. */
export async function freePort(): Promise<number> {
  return (await freePorts("port")).port;
}

/** The same for several at once, by names: no two of them are alike. */
export async function freePorts<Name extends string>(...names: readonly Name[]): Promise<Record<Name, number>> {
  const servers = names.map(() => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return Object.fromEntries(names.map((name, index) => [name, ports[index]])) as Record<Name, number>;
}
