import { join, resolve } from "node:path";

const MODULES = resolve(import.meta.dirname, "../../node_modules");
const isArm = process.arch === "arm64";

/** The JavaScript runtimes of the project, as the lockfile installs them. */
export const BINARIES = {
  bun: join(MODULES, `@oven/bun-linux-${isArm ? "aarch64" : "x64"}/bin/bun`),
  deno: join(MODULES, `@deno/linux-${isArm ? "arm64" : "x64"}-glibc/deno`),
  node: join(MODULES, `node-linux-${isArm ? "arm64" : "x64"}/bin/node`),
  workerd: join(MODULES, `@cloudflare/workerd-linux-${isArm ? "arm64" : "64"}/bin/workerd`),
} as const;

/** How each that has files runs a program: these words and its path. */
export const RUNTIMES = {
  bun: [BINARIES.bun, "run"],
  deno: [BINARIES.deno, "run", "--allow-all", "--no-prompt"],
  node: [BINARIES.node],
} as const;

export type RuntimeName = keyof typeof RUNTIMES;
