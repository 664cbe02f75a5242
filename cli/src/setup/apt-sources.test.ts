import { describe, expect, test } from "vitest";
import { debianMirror, DEFAULT_DEBIAN_MIRROR, parseAptSources } from "./apt-sources.ts";

const DEB822 = `# comment
Types: deb deb-src
URIs: https://vendor.example/repo
Suites: stable
Components: main

Types: deb
# http://snapshot.example/debian
URIs: http://one.example/debian/
 http://two.example/debian
Suites: trixie
  trixie-updates
Components: main contrib
Signed-By: /x.gpg

Types: deb-src
URIs: http://source.example/debian
Suites: trixie
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
`;

describe("parseAptSources()", () => {
  test("reads paragraphs with continued lines, comments and disabled entries", () => {
    const trixie = { suites: ["trixie", "trixie-updates"], components: ["main", "contrib"] };
    expect(parseAptSources(DEB822, "sources")).toEqual([
      { uri: "https://vendor.example/repo", suites: ["stable"], components: ["main"] },
      { uri: "http://one.example/debian/", ...trixie },
      { uri: "http://two.example/debian", ...trixie },
    ]);
  });

  test("reads lines with options and comments", () => {
    const text =
      "# deb http://no.example/debian x main\n deb [arch=amd64 signed-by=/k] http://a.example/debian bookworm main contrib # why\ndeb-src http://b.example/debian bookworm main\ndeb http://c.example/ ./\n";
    expect(parseAptSources(text, "list")).toEqual([
      { uri: "http://a.example/debian", suites: ["bookworm"], components: ["main", "contrib"] },
      { uri: "http://c.example/", suites: ["./"], components: [] },
    ]);
  });
});

describe("debianMirror()", () => {
  test("is the first mirror of Debian itself", () => {
    expect(debianMirror(parseAptSources(DEB822, "sources"))).toBe("http://one.example/debian");
  });

  test.each([
    ["no source", ""],
    ["the security archive", "deb http://x.example/debian-security trixie-security main"],
    ["another distribution", "deb http://x.example/ubuntu noble main"],
    ["a vendor's suite", "deb http://x.example/debian vendor main"],
    ["a local folder", "deb file:/mnt/debian trixie main"],
  ])("is the public default for %s", (_name, text) => {
    expect(debianMirror(parseAptSources(text, "list"))).toBe(DEFAULT_DEBIAN_MIRROR);
  });
});
