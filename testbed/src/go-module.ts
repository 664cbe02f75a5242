import type { GoRecipe } from "./programs.ts";

/** Name of the module that is made around what is built. */
const BUILD_MODULE = "testbedbuild";

/** `go.mod` of a module around another: it asks for one thing. */
export function wrapperGoMod({ module, version }: Pick<GoRecipe, "module" | "version">, goVersion: string): string {
  return `module ${BUILD_MODULE}\n\ngo ${goVersion}\n\nrequire ${module} ${version}\n`;
}

/**
 * `go.mod` of a module around Kubernetes, from Kubernetes' own: this replaces its staging modules by
 * folders of its source tree, which are published as modules of version 0.
 */
export function stagedGoMod(goMod: string, { module, version }: Pick<GoRecipe, "module" | "version">): string {
  const staged = version.replace(/^v1\./, "v0.");
  const rewritten = goMod
    .replace(/^module .*$/m, `module ${BUILD_MODULE}`)
    .replaceAll(/^(\t(k8s\.io\/[a-z0-9-]+) =>) \.\/staging\/.*$/gm, `$1 $2 ${staged}`);
  return `${rewritten.trimEnd()}\n\nrequire ${module} ${version}\n`;
}

/** A file that makes packages dependencies of the module although nothing calls them. */
export function toolsFile(packages: readonly string[]): string {
  return `//go:build tools\n\npackage tools\n\nimport (\n${packages.map((path) => `\t_ ${JSON.stringify(path)}\n`).join("")})\n`;
}
