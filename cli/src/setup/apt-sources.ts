/** One place packages come from. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
}

export const DEFAULT_DEBIAN_MIRROR = "http://deb.debian.org/debian";

const SUITES = /^(stable|testing|unstable|oldstable|sid|bullseye|bookworm|trixie|forky|duke)$/;

/** Reads both formats of APT's source files: one line an entry (`.list`) and paragraphs (`.sources`). */
export function parseAptSources(text: string, format: "list" | "sources"): readonly AptSource[] {
  return format === "list" ? text.split("\n").flatMap(parseLine) : text.split(/\n\s*\n/).flatMap(parseParagraph);
}

/**
 * The first mirror of Debian itself: component `main` of a plain suite under a path that ends in
 * `debian`, over HTTP. Security archives, other distributions and vendors' archives are none.
 */
export function debianMirror(sources: readonly AptSource[]): string {
  const mirror = sources.find(
    ({ uri, suites, components }) =>
      /^https?:\/\/[^\s]+\/debian\/?$/.test(uri) &&
      components.includes("main") &&
      suites.some((suite) => SUITES.test(suite)),
  );
  return mirror?.uri.replace(/\/$/, "") ?? DEFAULT_DEBIAN_MIRROR;
}

function parseLine(line: string): AptSource[] {
  const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)((?:\s+[^\s#]+)*)/.exec(line);
  if (match === null) return [];
  const [, uri = "", suite = "", components = ""] = match;
  return [{ uri, suites: [suite], components: words(components) }];
}

function parseParagraph(paragraph: string): AptSource[] {
  const fields = new Map<string, string>();
  let last = "";
  for (const line of paragraph.split("\n")) {
    if (line.startsWith("#")) continue;
    const match = /^([A-Za-z-]+):(.*)$/.exec(line);
    if (match !== null) last = (match[1] ?? "").toLowerCase();
    fields.set(last, `${fields.get(last) ?? ""} ${match === null ? line : match[2]}`);
  }
  const value = (name: string): string[] => words(fields.get(name) ?? "");
  if (!value("types").includes("deb") || value("enabled").includes("no")) return [];
  return value("uris").map((uri) => ({ uri, suites: value("suites"), components: value("components") }));
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
