import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/*
 * Makes what is published: dist/ with plain JavaScript and declarations, file by file, and
 * the licence. A bundler is not needed, for there is nothing to bundle, and stack traces
 * keep the names of the files.
 */
const sdk = fileURLToPath(new URL("..", import.meta.url));
const dist = join(sdk, "dist");

rmSync(dist, { recursive: true, force: true });
const compiler = join(sdk, "../node_modules/.bin/tsc");
const { status } = spawnSync(compiler, ["-p", join(sdk, "tsconfig.build.json")], { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);
for (const name of readdirSync(dist)) if (name.endsWith(".d.ts")) pointToJavaScript(join(dist, name));
copyFileSync(join(sdk, "../LICENSE"), join(sdk, "LICENSE"));

/** The compiler rewrites `./x.ts` to `./x.js` in JavaScript only; not every tool reads declarations with `.ts`. */
function pointToJavaScript(path: string): void {
  writeFileSync(path, readFileSync(path, "utf8").replace(/(from |import\()"(\.\/[^"]+)\.ts"/g, '$1"$2.js"'));
}
