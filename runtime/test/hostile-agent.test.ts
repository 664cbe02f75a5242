import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RUNTIMES, type RuntimeName } from "../../test/harness/runtimes.ts";
import { NO_ANSWERS, WRONG_CONTENTS } from "./hostile/attacks.ts";
import type { Report } from "./hostile/victim.ts";

const attacks = { ...NO_ANSWERS, ...WRONG_CONTENTS };
const names = Object.keys(attacks);
/** Routes of which the gateway reads what the agent says. */
const READ = new Set(["status", "start", "events"]);
const MOST_GROWTH_BYTES = 256 * 2 ** 20;

describe("a hostile agent", () => {
  let directory = "";
  const servers: Server[] = [];
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "atoll-hostile-"));
    for (const [at, attack] of Object.values(attacks).entries()) {
      const server = createServer((socket) => {
        socket.on("error", () => socket.destroy());
        socket.on("data", () => undefined);
        socket.once("data", () => attack(socket));
      });
      server.listen(join(directory, String(at)));
      await once(server, "listening");
      servers.push(server);
    }
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await rm(directory, { recursive: true });
  });

  it.each(["bun", "deno", "node"] satisfies RuntimeName[])(
    "neither stops nor fills a gateway on %s, and is never believed",
    async (runtime) => {
      const [program, ...args] = RUNTIMES[runtime];
      const victim = join(import.meta.dirname, "hostile/victim.ts");
      const { stdout } = await promisify(execFile)(program, [...args, victim, directory, ...names], {
        cwd: join(import.meta.dirname, "../.."),
        timeout: 60_000,
      });
      const { outcomes, grownBytes } = JSON.parse(stdout) as Report;
      expect(Object.keys(outcomes)).toEqual(names);
      const believed = Object.entries(outcomes).flatMap(([attack, routes]) =>
        Object.entries(routes)
          .filter(([route, { end }]) => end === "whole" && (attack in NO_ANSWERS || READ.has(route)))
          .map(([route, { status }]) => `${route}: ${attack} (${status})`),
      );
      expect(believed).toEqual([]);
      expect(grownBytes).toBeLessThan(MOST_GROWTH_BYTES);
    },
    90_000,
  );
});
