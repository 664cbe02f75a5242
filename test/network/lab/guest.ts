import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import type { Link } from "#runtime/backend/local/network.ts";
import { spawn } from "node:child_process";
import { sh } from "./shell.ts";

const CAPABILITIES = ["CAP_NET_RAW", "CAP_NET_BIND_SERVICE"];

/** A gVisor sandbox on this link, booted but not yet started: its network stack has copied the link as it is now. */
export async function bootGuest(
  runsc: string,
  rootfs: string,
  link: Link,
  args: readonly string[],
): Promise<() => Promise<string>> {
  const id = link.ifname;
  const dir = `/run/guests/${id}`;
  await mkdir(dir, { recursive: true });
  await writeFile(`${dir}/config.json`, JSON.stringify(spec(rootfs, link, args)));
  const flags = ["--root=/run/runsc", "--ignore-cgroups", "--network=sandbox", "--net-raw", "--overlay2=root:memory"];
  await quietly(runsc, [...flags, "create", `--bundle=${dir}`, id], `${dir}/out`);
  return async () => {
    await quietly(runsc, [...flags, "start", id], `${dir}/start`);
    await sh(runsc, [...flags, "wait", id]);
    await sh(runsc, [...flags, "delete", "--force", id]);
    return readFile(`${dir}/out`, "utf8");
  };
}

/** The sandbox inherits the outputs of the program that makes it, so they are files and nobody waits for their end. */
async function quietly(command: string, args: readonly string[], outPath: string): Promise<void> {
  const [out, fault] = [await open(outPath, "w"), await open(`${outPath}.err`, "w")];
  const child = spawn(command, args, { stdio: ["ignore", out.fd, fault.fd] });
  const code = await new Promise((resolve) => child.on("exit", resolve));
  await Promise.all([out.close(), fault.close()]);
  if (code !== 0) throw new Error(`${args.at(-1)} failed: ${await readFile(`${outPath}.err`, "utf8")}`);
}

function spec(rootfs: string, link: Link, args: readonly string[]): object {
  const namespaces = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  return {
    ociVersion: "1.0.0",
    process: {
      user: { uid: 0, gid: 0 },
      args,
      env: ["PATH=/usr/bin:/bin"],
      cwd: "/",
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
    },
    root: { path: rootfs, readonly: false },
    mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
    linux: { namespaces: [...namespaces, { type: "network", path: link.netnsPath }] },
  };
}
