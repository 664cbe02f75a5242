import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { PROGRAMS, type ProgramName } from "../programs.ts";
import { bundleAgent } from "../../sidecar/build.ts";

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), "../..");
/** Packages in the older module format ask for Node's own modules by `require`. */
const REQUIRE =
  'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);';

/** Writes a program and all that it imports as one file. */
export async function bundleProgram(name: ProgramName, outFile: string): Promise<void> {
  if (name === "sidecar") return void (await bundleAgent(outFile));
  const { entry, runtime } = PROGRAMS[name];
  await build({
    entryPoints: [join(REPOSITORY, entry)],
    absWorkingDir: REPOSITORY,
    outfile: outFile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2024",
    mainFields: ["module", "main"],
    banner: { js: runtime.kind === "bun" ? `// @bun\n${REQUIRE}` : REQUIRE },
    external: ["bun", "bun:*"],
    legalComments: "none",
    logLevel: "error",
  });
}
