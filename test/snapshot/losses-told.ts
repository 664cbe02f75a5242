import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Atoll } from "#sdk";

const SCRIPT = readFileSync(join(import.meta.dirname, "lossy-tree.py"), "utf8");
/** All of it is kept, and the more of the image is seen for it. */
const KEPT =
  "mkdir /srv/kept; echo 1 >/srv/kept/a; chmod -R o-w /etc/skel /usr/share/perl5; rm -r /usr/share/doc; echo >>/usr/bin/kept";

export interface LossesTold {
  readonly client: Atoll;
  readonly image: string;
  /** Begins the names of the snapshots. */
  readonly prefix: string;
  /** What is lost only here. */
  readonly more?: readonly (readonly [code: string, count: number, examples: readonly string[]])[];
}

/** Expects of a snapshot that its record names what gVisor leaves out of it, and of one that lacks nothing that it names nothing. */
export async function expectLossesTold({ client, image, prefix, more = [] }: LossesTold): Promise<void> {
  const source = await client.sandboxes.create({ containers: ["first", "second"].map((name) => ({ name, image })) });
  const container = "second";
  const run = async (...command: string[]): Promise<void> => {
    const { exitCode, stderr } = await source.commands.run(command, { container });
    expect([exitCode, stderr]).toEqual([0, ""]);
  };
  const take = async (name: string, containerName: string) => {
    const { id, warnings } = await source.snapshot({ snapshotName: `${prefix}-${name}`, containerName });
    expect((await client.snapshots.get(id)).warnings).toEqual(warnings);
    return warnings.map(({ code, count, examples }) => [code, count, examples.toSorted()]);
  };
  await run("sh", "-c", KEPT);
  expect(await take("kept", container)).toEqual([]);
  await run("python3", "-c", SCRIPT);
  expect(await take("lossy", container)).toEqual([
    ["SocketsLeftOut", 2, ["/srv/lossy/linked", "/srv/lossy/socket"]],
    ["AttributesLeftOut", 3, ["/etc/profile", "/srv/lossy/bytes", "/srv/lossy/empty"]],
    ["CapabilitiesLeftOut", 1, ["/srv/lossy/capability"]],
    ...more,
  ]);
  // What one container loses is no matter of another's.
  expect(await take("other", "first")).toEqual([]);
  const restored = await client.sandboxes.create({ image, rootfsSnapshotName: `${prefix}-lossy` });
  expect((await restored.snapshot({ snapshotName: `${prefix}-again` })).warnings).toEqual([]);
  await Promise.all([source, restored].map((sandbox) => sandbox.delete()));
}
