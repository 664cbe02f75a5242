import * as http from "node:http";
import * as https from "node:https";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";

export interface StallAgents {
  readonly http: http.Agent;
  readonly https: https.Agent;
  close(): void;
}

const MOST_SOCKETS = 64;

/** Connections that are kept, and closed when nothing moves on them for so long. */
export function createStallAgents(stallMs: number): StallAgents {
  const options = { keepAlive: true, maxSockets: MOST_SOCKETS, timeout: stallMs };
  const agents = { http: new http.Agent(options), https: new https.Agent(options) };
  for (const agent of [agents.http, agents.https]) endStalled(agent, stallMs);
  return {
    ...agents,
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  };
}

/** An agent only tells of a socket's time-out; and a socket that was kept may have the server's shorter one. */
function endStalled(agent: http.Agent, stallMs: number): void {
  const create = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const socket = create(options, callback);
    if (socket !== null && socket !== undefined) watch(socket, stallMs);
    return socket;
  };
  const reuse = agent.reuseSocket.bind(agent);
  agent.reuseSocket = (socket, request) => {
    reuse(socket, request);
    (socket as Socket).setTimeout(stallMs);
  };
}

function watch(stream: Duplex, stallMs: number): void {
  const socket = stream as Socket;
  socket.setTimeout(stallMs);
  socket.on("timeout", () => socket.destroy(Object.assign(new Error("The connection stalled"), { code: "ESTALLED" })));
}
