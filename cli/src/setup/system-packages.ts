/** A thing that must be on the machine and the Debian package that brings it. */
export interface SystemRequirement {
  /** A program's name, looked up on the search path, or a file's absolute path. */
  readonly needs: string;
  readonly package: string;
}

/** All that the set-up and the local backend call. */
export const SYSTEM_REQUIREMENTS: readonly SystemRequirement[] = [
  { needs: "nft", package: "nftables" },
  { needs: "ip", package: "iproute2" },
  { needs: "tc", package: "iproute2" },
  { needs: "conntrack", package: "conntrack" },
  { needs: "setpriv", package: "util-linux" },
  { needs: "unshare", package: "util-linux" },
  { needs: "mount", package: "mount" },
  { needs: "skopeo", package: "skopeo" },
  { needs: "umoci", package: "umoci" },
  { needs: "mkfs.erofs", package: "erofs-utils" },
  { needs: "debootstrap", package: "debootstrap" },
  { needs: "/usr/share/keyrings/debian-archive-keyring.gpg", package: "debian-archive-keyring" },
  { needs: "/etc/ssl/certs/ca-certificates.crt", package: "ca-certificates" },
  { needs: "cc", package: "gcc" },
  { needs: "/usr/include/stdio.h", package: "libc6-dev" },
];

/** Share done, from the lines that APT writes to its status descriptor; undefined when a text holds none. */
export function parseAptStatus(text: string): { fraction: number; detail: string } | undefined {
  const last = [...text.matchAll(/^(dl|pm)status:([^:\n]*):([0-9.]+):(.*)$/gm)].at(-1);
  if (last === undefined) return undefined;
  const [, kind, name = "", percent, description = ""] = last;
  const part = Math.min(Number(percent), 100) / 100;
  // Downloading is taken for the first half; how long each half takes depends on the line and the disk.
  return kind === "dl"
    ? { fraction: part / 2, detail: description.slice(0, 60) }
    : { fraction: 0.5 + part / 2, detail: (description || name).slice(0, 60) };
}
