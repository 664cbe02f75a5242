import { SYSTEM_REQUIREMENTS, type SystemRequirement } from "#cli/setup/system-packages.ts";

/** What only tests on the testbed call. */
export const TEST_REQUIREMENTS: readonly SystemRequirement[] = [
  { needs: "buildah", package: "buildah" },
  { needs: "pgrep", package: "procps" },
];

/** What the testbed calls beside what sandboxes on one machine need: nothing that starts by itself. */
export const TESTBED_REQUIREMENTS: readonly SystemRequirement[] = [
  ...SYSTEM_REQUIREMENTS,
  { needs: "runc", package: "runc" },
  { needs: "iptables", package: "iptables" },
  { needs: "openssl", package: "openssl" },
  { needs: "nsenter", package: "util-linux" },
  { needs: "fsck.erofs", package: "erofs-utils" },
];
