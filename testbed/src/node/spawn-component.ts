import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Component } from "../component.ts";
import type { Running } from "../supervisor.ts";

/** Starts a component in a session of its own; what it prints goes to its log. */
export function spawnComponent(component: Component, logs: string): Running {
  const [program = "", ...words] = component.command;
  const log = openSync(join(logs, `${component.name}.log`), "a", 0o640);
  const child = spawn(program, words, { detached: true, stdio: ["ignore", log, log], cwd: "/" });
  closeSync(log);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  return {
    pid: child.pid ?? 0,
    ended,
    kill: (signal) => void child.kill(signal as NodeJS.Signals),
  };
}
