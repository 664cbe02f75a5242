import { readFile, writeFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { stringify } from "yaml";
import { rootfsSnapshotCrd } from "./rootfs-snapshot-crd.ts";
import { sandboxCrd } from "./sandbox-crd.ts";

it.each([sandboxCrd(), rootfsSnapshotCrd()])(
  "api/generated/crds has $metadata.name as it is written here (UPDATE_GENERATED=true writes it)",
  async (crd) => {
    const { group, names } = crd.spec;
    const golden = new URL(`../../generated/crds/${group}_${names.plural}.yaml`, import.meta.url);
    const text = stringify(crd, { aliasDuplicateObjects: false, lineWidth: 0 });
    if (process.env["UPDATE_GENERATED"] === "true") await writeFile(golden, text);
    expect(await readFile(golden, "utf8")).toBe(text);
  },
);
