import { createServer, type Server } from "node:http";
import type { ListenAddress } from "#api/environment.ts";
import { INSTALLER_PATHS } from "../manifest.ts";

/** Answers the kubelet: alive always, ready while there is no fault. */
export function serveHealth(listen: ListenAddress, fault: () => string | undefined): Promise<Server> {
  const server = createServer((request, response) => {
    const isReady = request.url === INSTALLER_PATHS.ready;
    const why = isReady ? fault() : undefined;
    const status = !isReady && request.url !== INSTALLER_PATHS.live ? 404 : why === undefined ? 200 : 503;
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${why ?? "ok"}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.hostname, () => resolve(server));
  });
}
