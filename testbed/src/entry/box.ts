import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import { systemClock } from "#core/clock.ts";
import { components } from "../config/components.ts";
import { answerControl } from "../control.ts";
import { createLayout, NETWORK } from "../layout.ts";
import { probe } from "../node/probe.ts";
import { spawnComponent } from "../node/spawn-component.ts";
import { createSupervisor } from "../supervisor.ts";

// The supervisor of the node: the only program of the box beside its first process, which starts it.
const layout = createLayout(process.argv[2] ?? "");

await joinNetwork();
const supervisor = createSupervisor(components(), {
  clock: systemClock,
  start: (component) => spawnComponent(component, layout.logs),
  probe,
});
await listen();
await supervisor.run(new AbortController().signal);

/** The machine moves the link in; until then there is none. */
async function joinNetwork(): Promise<void> {
  while (!existsSync("/sys/class/net/eth0")) await systemClock.sleep(10);
  const { hostIp, nodeIp, nodePrefix, podCidr } = NETWORK;
  ip("address", "add", `${nodeIp}/${nodePrefix}`, "dev", "eth0");
  ip("link", "set", "eth0", "up");
  ip("route", "add", "default", "via", hostIp);
  // What leaves the node carries its address; the machine and the pods know each other's.
  const outside = ["-t", "nat", "-A", "POSTROUTING", "-s", podCidr, "-o", "eth0", "!", "-d", hostIp];
  execFileSync("iptables", ["-w", ...outside, "-j", "MASQUERADE"]);
}

function ip(...words: string[]): void {
  execFileSync("ip", words);
}

async function listen(): Promise<void> {
  await rm(layout.controlSocket, { force: true });
  const server = createServer((request, response) => {
    const { method = "GET", url = "/" } = request;
    request.resume();
    answerControl({ method, url }, supervisor)
      .then(async (answer) => {
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        response.end(await answer.text());
      })
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(layout.controlSocket, resolve));
}
