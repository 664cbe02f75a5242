/**
 * Contents of the image `atoll/debian`. git brings Perl and is 100 of the image's 250 MB; it stays,
 * because fetching code is the first thing many sandboxes do and the file is shared by all of them.
 */
export const BASE_PACKAGES: readonly string[] = [
  "ca-certificates",
  "curl",
  "git",
  "procps",
  "python3",
  "python3-pip",
  "python3-venv",
];

/** Raised when the recipe changes in any way: machines then build the image anew. */
export const BASE_RECIPE_ID = "1";

/** Process defaults of the image. */
export const BASE_CONFIG = {
  entrypoint: [],
  cmd: ["bash"],
  env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
  workingDir: "/",
  user: { uid: 0, gid: 0, additionalGids: [], home: "/root" },
} as const;

/** Documentation that is left out now and by later installs inside a sandbox; licences stay. */
export const DPKG_EXCLUDES = `path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
`;

/** Public sources with updates and security fixes for `apt-get` inside a sandbox. */
export function aptSourcesFor(codename: string): string {
  const source = (uri: string, suites: string): string =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n`;
  const main = source("http://deb.debian.org/debian", `${codename} ${codename}-updates`);
  return `${main}\n${source("http://deb.debian.org/debian-security", `${codename}-security`)}`;
}

/** How far debootstrap is, from its output so far: it fetches, unpacks and configures each package. */
export function debootstrapProgress(counts: DebootstrapCounts): number {
  const share = (count: number, total: number): number => Math.min(count / total, 1);
  const packages = Math.max(counts.retrieved, TYPICAL_PACKAGES);
  return (
    0.4 * share(counts.retrieved, packages) +
    0.3 * share(counts.unpacked, packages) +
    0.3 * share(counts.configured, packages)
  );
}

export interface DebootstrapCounts {
  retrieved: number;
  unpacked: number;
  configured: number;
}

// Measured on Debian 13 with BASE_PACKAGES.
const TYPICAL_PACKAGES = 140;
