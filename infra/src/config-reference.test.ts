import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { referenceRows, referenceTable } from "./config-reference.ts";

const DOCS = join(import.meta.dirname, "../../docs/reference");

describe("docs/reference/kubernetes.md", () => {
  const path = join(DOCS, "kubernetes.md");
  const [before = "", rest = ""] = readFileSync(path, "utf8").split("<!-- keys -->\n");
  const after = rest.split("<!-- /keys -->")[1] ?? "";

  it("shows the keys as the schema has them", async () => {
    expect(after.length).toBeGreaterThan(100);
    const page = `${before}<!-- keys -->\n${referenceTable()}\n<!-- /keys -->${after}`;
    // `vitest -u` writes the page anew.
    await expect(page).toMatchFileSnapshot(path);
  });

  it("says what each key means", () => {
    expect(
      referenceRows()
        .filter(({ meaning }) => meaning === "")
        .map(({ path }) => path),
    ).toEqual([]);
  });
});

describe("docs/reference/helm-values.md", () => {
  const rows = [...readFileSync(join(DOCS, "helm-values.md"), "utf8").matchAll(/^\| (`.*?) \| (.*?) \| (.*?) ?\|$/gm)];
  const known = new Set(referenceRows().map(({ path }) => path));

  it("names keys that exist, and says why where there is none", () => {
    expect(rows.length).toBeGreaterThan(50);
    const keys = rows.flatMap(([, , keys = ""]) => [...keys.matchAll(/`([^`]+)`/g)].map(([, key = ""]) => key));
    expect(keys.filter((key) => !known.has(key))).toEqual([]);
    const unexplained = rows.filter(([, , keys, remark]) => keys === "—" && remark === "");
    expect(unexplained.map(([, value]) => value)).toEqual([]);
  });
});
