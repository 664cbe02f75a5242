import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as z from "zod";
import type { NetworkPlan } from "#core/network.ts";
import type { HeldContainer } from "../held.ts";
import type { Boot } from "../machine.ts";
import { HOSTNAME, type BootPaths, type OciSpec } from "../oci.ts";
import type { Shape } from "../shape.ts";
import type { Link } from "./net.ts";
import { readHead } from "./read-head.ts";

export const BOOT_VERSION = 2;

const PANIC_HEAD_BYTES = 4096;

/** What a restarted process must know of a boot. */
export interface BootNote {
  readonly version: typeof BOOT_VERSION;
  readonly id: string;
  readonly shape: Shape;
  readonly link: Link;
  /** Process id of the sandbox's kernel on the host; absent until it runs. */
  readonly pid?: number;
  /** Containers that wait for their program, or have got it, in order. */
  readonly held: readonly HeldContainer[];
  /** The policy that is in force; absent = none yet, the boot reaches nothing. */
  readonly network?: NetworkPlan;
  /** True from when all of it is made until it is told what to become. */
  readonly waiting: boolean;
  /** Names of the containers that were about to get their program, or have it. */
  readonly containers: readonly string[];
}

const Envelope = z.looseObject({
  version: z.literal(BOOT_VERSION),
  id: z.string(),
  shape: z.looseObject({}),
  link: z.looseObject({}),
  pid: z.int().optional(),
  network: z.looseObject({}).optional(),
  held: z.array(z.looseObject({ digest: z.string(), storageBytes: z.number() })),
  waiting: z.boolean(),
  containers: z.array(z.string()),
});

/** What the machine port shows of a boot. */
export function bootOf({ id, shape, held, containers }: BootNote): Boot {
  return { id, shape, held, containers };
}

export type BootFiles = ReturnType<typeof createBootFiles>;

/** Folders of the boots: `<bootsDir>/<id>` on disk, `<agentsDir>/<id>` for the agent's socket. */
export function createBootFiles(bootsDir: string, agentsDir: string) {
  const dirOf = (id: string): string => join(bootsDir, id);

  function pathsOf(id: string, netnsPath: string): BootPaths {
    const dir = dirOf(id);
    return {
      netnsPath,
      hostsFile: join(dir, "etc/hosts"),
      resolvFile: join(dir, "etc/resolv.conf"),
      hostnameFile: join(dir, "etc/hostname"),
      agentDir: join(agentsDir, id),
      upperDir: join(dir, "upper"),
    };
  }

  async function make(id: string): Promise<void> {
    await mkdir(join(dirOf(id), "etc"), { recursive: true, mode: 0o700 });
    await Promise.all([
      mkdir(join(dirOf(id), "upper"), { mode: 0o700 }),
      mkdir(join(agentsDir, id), { recursive: true, mode: 0o700 }),
      writeFile(join(dirOf(id), "etc/hosts"), hosts()),
      writeFile(join(dirOf(id), "etc/hostname"), `${HOSTNAME}\n`),
      writeFile(join(dirOf(id), "etc/resolv.conf"), ""),
    ]);
  }

  async function writeNote(note: BootNote): Promise<void> {
    const path = join(dirOf(note.id), "boot.json");
    await writeFile(`${path}.tmp`, JSON.stringify(note), { mode: 0o600 });
    await rename(`${path}.tmp`, path);
  }

  async function readNote(id: string): Promise<BootNote | undefined> {
    try {
      return Envelope.parse(JSON.parse(await readFile(join(dirOf(id), "boot.json"), "utf8"))) as unknown as BootNote;
    } catch {
      return undefined;
    }
  }

  /** Names of the pipes by which a waiting container gets its order and reports. */
  function pipesOf(id: string, index: number): { readonly order: string; readonly report: string } {
    const base = join(dirOf(id), `held-${index}`);
    return { order: `${base}.order`, report: `${base}.report` };
  }

  async function makePipes(id: string, index: number): Promise<void> {
    const { order, report } = pipesOf(id, index);
    await promisify(execFile)("mkfifo", ["--mode=0600", order, report]);
  }

  async function writeBundle(id: string, containerId: string, spec: OciSpec): Promise<string> {
    const dir = join(dirOf(id), "bundles", containerId);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await writeFile(join(dir, "config.json"), JSON.stringify(spec), { mode: 0o600 });
    return dir;
  }

  return {
    dirOf,
    pathsOf,
    make,
    readNote,
    writeNote,
    pipesOf,
    makePipes,
    writeBundle,
    pidFileOf: (id: string, containerId: string): string => join(dirOf(id), "bundles", containerId, "pid"),
    socketOf: (id: string): string => join(agentsDir, id, "agent.sock"),
    writeResolv: (id: string, text: string): Promise<void> => writeFile(join(dirOf(id), "etc/resolv.conf"), text),
    /** Its beginning says why; the rest tells of every task there was. */
    readPanic: (id: string): Promise<string> => readHead(join(dirOf(id), "panic.log"), PANIC_HEAD_BYTES),
    list: async (): Promise<string[]> => {
      const [boots, agents] = await Promise.all([names(bootsDir), names(agentsDir)]);
      return [...new Set([...boots, ...agents])];
    },
    remove: async (id: string): Promise<void> => {
      await Promise.all([
        rm(dirOf(id), { recursive: true, force: true }),
        rm(join(agentsDir, id), { recursive: true, force: true }),
      ]);
    },
  };
}

async function names(dir: string): Promise<string[]> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  return readdir(dir);
}

function hosts(): string {
  return `127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.0.1 ${HOSTNAME}\n`;
}
