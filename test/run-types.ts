import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { join, relative } from "node:path";
import { promisify } from "node:util";

/** Type-checks each layer with only its own globals; each layer is one test, and so is that no file is left out. */
const LAYERS = ["portable", "node", "bun", "deno", "workerd"] as const;

const root = join(import.meta.dirname, "..");
const run = promisify(execFile);

async function tsc(...words: string[]): Promise<{ ok: boolean; text: string }> {
  try {
    const { stdout } = await run(join(root, "node_modules/.bin/tsc"), words, { cwd: root, maxBuffer: 2 ** 26 });
    return { ok: true, text: stdout };
  } catch (error) {
    const { stdout, message } = error as Error & { stdout?: string };
    return { ok: false, text: stdout || message };
  }
}

let failed = 0;
function report(name: string, faults: string): void {
  console.log(`${faults === "" ? "✓" : "✗"} ${name}`);
  if (faults !== "") console.log(faults);
  if (faults !== "") failed += 1;
}

const covered = new Set<string>();
for (const layer of LAYERS) {
  const config = `tsconfig.${layer}.json`;
  const { ok, text } = await tsc("-p", config);
  report(config, ok ? "" : text.trimEnd());
  const list = await tsc("-p", config, "--listFilesOnly");
  for (const file of list.text.split("\n")) covered.add(relative(root, file));
}

const all = globSync("**/*.{ts,mts}", { cwd: root, exclude: ["**/node_modules", "**/.atoll", "**/coverage"] });
const left = all.filter((file) => !covered.has(file)).toSorted();
report(`each of ${all.length} files belongs to a layer`, left.map((file) => `  not checked: ${file}`).join("\n"));

console.log(`${LAYERS.length + 1 - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
