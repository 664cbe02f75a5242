import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { GatewayEnvironment } from "./manifest.ts";

describe("docs/reference/configuration.md", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/reference/configuration.md"), "utf8");
  const documented = [...text.matchAll(/^\| `((?:ATOLL|ISOLA)_\w+)` \|/gm)].map(([, name]) => name);

  it("has a row for each variable that the gateway reads, and for no other", () => {
    expect(documented.toSorted()).toEqual(Object.keys(GatewayEnvironment.shape).toSorted());
  });
});
