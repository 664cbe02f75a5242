import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const tsc = join(root, "node_modules/.bin/tsc");
let folder = "";

beforeAll(async () => {
  await mkdir(join(root, ".atoll"), { recursive: true });
  folder = await mkdtemp(join(root, ".atoll/layers-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the compiler says about one file with the settings of a layer. */
async function check(layer: string, source: string): Promise<string> {
  await writeFile(join(folder, "sample.ts"), source);
  const config = { extends: `../../tsconfig.${layer}.json`, include: ["sample.ts"], exclude: [] };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  return new Promise((resolve) => {
    execFile(process.execPath, [tsc, "-p", join(folder, "tsconfig.json")], (_, stdout) => resolve(stdout));
  });
}

describe("type layers", () => {
  test.each([
    ["portable", "export const a = process.env;", "'process'"],
    ["portable", "export const a = Buffer.from('a');", "'Buffer'"],
    ["portable", 'import { readFile } from "node:fs"; export const a = readFile;', "'node:fs'"],
    ["portable", "export const a = Bun.version;", "'Bun'"],
    ["workerd", "export const a = process.env;", "'process'"],
    ["node", "export const a = Bun.version;", "'Bun'"],
    ["node", "export enum A { B }", "erasableSyntaxOnly"],
    ["node", "export const a: string = ['b'][0];", "undefined"],
  ])("%s refuses %s", async (layer, source, word) => {
    expect(await check(layer, source)).toContain(word);
  });

  test.each([
    [
      "portable",
      "export const a = (): Promise<Response> => fetch('https://a.test', { signal: AbortSignal.timeout(1) });",
    ],
    ["node", 'import { readFile } from "node:fs"; export const a = [readFile, process.env, fetch];'],
    ["bun", 'import { readFile } from "node:fs"; export const a = [readFile, Bun.version, fetch];'],
    ["deno", 'import { readFile } from "node:fs"; export const a = [readFile, fetch];'],
    ["workerd", "export default { fetch: (): Response => new Response() };"],
  ])("%s accepts %s", async (layer, source) => {
    expect(await check(layer, source)).toBe("");
  });
});
