import { readFile, writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { stringify } from "yaml";
import { sandboxCrd } from "./sandbox-crd.ts";

const GOLDEN = new URL("../../generated/crds/sandbox.isola.run_sandboxes.yaml", import.meta.url);

it("api/generated/crds has the definition as it is written here (UPDATE_GENERATED=true writes it)", async () => {
  const text = stringify(sandboxCrd(), { aliasDuplicateObjects: false, lineWidth: 0 });
  if (process.env["UPDATE_GENERATED"] === "true") await writeFile(GOLDEN, text);
  expect(await readFile(GOLDEN, "utf8")).toBe(text);
});
