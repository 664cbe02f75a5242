import type { ContainerSpec, SandboxSpec } from "#core/sandbox.ts";
import { CONTAINER_MARK } from "#sidecar/manifest.ts";
import { planNetwork, renderResolvConf } from "#core/network.ts";
import type { Call } from "#runtime/backend/port.ts";
import type { LocalConfig } from "../config.ts";
import type { Image } from "../image.ts";
import { StartError, type Boot } from "../machine.ts";
import { userSpec, type ContainerPlan } from "../oci.ts";
import { storageBytes } from "../shape.ts";
import { containerIdOf, rootIdOf, type BootControl } from "./boot-control.ts";
import type { BootFiles, BootNote } from "./boot-files.ts";
import type { BootMaker } from "./boot-maker.ts";
import type { Net } from "./net.ts";
import { RunscError, type Runsc } from "./runsc.ts";

const DEFAULT_COMMAND = ["sleep", "infinity"] as const;
const DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface ContainersDeps {
  readonly config: LocalConfig;
  readonly files: BootFiles;
  readonly net: Net;
  readonly runsc: Runsc;
  readonly maker: BootMaker;
  readonly control: BootControl;
  readonly clusterResolvers: readonly string[];
  /** The image behind a reference, held until the boot is removed; throws StartError. */
  readonly acquireImage: (reference: string, bootId: string, call: Call) => Promise<Image>;
}

/** Gives a boot the network policy and the containers of a sandbox; throws StartError. */
export async function startContainers(deps: ContainersDeps, boot: Boot, spec: SandboxSpec, call: Call): Promise<Boot> {
  const note = await deps.files.readNote(boot.id);
  if (note === undefined)
    throw new StartError("SandboxLost", "The booted sandbox disappeared before its containers were added.");
  const names = spec.containers.map((container) => container.name);
  const plan = planNetwork(spec.network ?? {}, { clusterResolvers: deps.clusterResolvers });
  const [images] = await Promise.all([
    Promise.all(spec.containers.map((container) => deps.acquireImage(container.image, boot.id, call))),
    deps.net.apply(note.link, plan),
    deps.files.writeResolv(boot.id, renderResolvConf(plan.dns)),
  ]);
  await deps.files.writeNote({ ...note, containers: names, images: images.map((image) => image.digest) });
  // One after the other, as in a pod: a later container may count on an earlier one.
  for (const [index, container] of spec.containers.entries()) {
    const image = images[index];
    if (image !== undefined) await startContainer(deps, note, { index, container, image }, call);
  }
  return { ...boot, containers: names };
}

interface Place {
  readonly index: number;
  readonly container: ContainerSpec;
  readonly image: Image;
}

async function startContainer(
  deps: ContainersDeps,
  note: BootNote,
  { index, container, image }: Place,
  call: Call,
): Promise<void> {
  const id = containerIdOf(note.id, index);
  const paths = deps.files.pathsOf(note.id, note.link.netnsPath);
  const plan = planContainer(container, image, deps.config);
  const where = deps.maker.runscCall(note.id, call.signal);
  const bundle = await deps.files.writeBundle(
    note.id,
    id,
    userSpec(paths, { ...plan, rootId: rootIdOf(note.id), index }),
  );
  try {
    await deps.runsc.create(id, bundle, deps.files.pidFileOf(note.id, id), where);
    await deps.runsc.start(id, where);
  } catch (error) {
    if (!(error instanceof RunscError)) throw error;
    throw await startErrorOf(deps, note.id, container.name, plan.args[0] ?? "", error);
  }
}

function planContainer(container: ContainerSpec, image: Image, config: LocalConfig): ContainerPlan {
  const command = container.command ?? [];
  const env = new Map([...withDefaultPath(Object.entries(image.config.env)), ...Object.entries(container.env)]);
  env.set(CONTAINER_MARK, container.name);
  return {
    args: command.length > 0 ? command : DEFAULT_COMMAND,
    env: [...env].map(([name, value]) => `${name}=${value}`),
    cwd: image.config.workingDir === "" ? "/" : image.config.workingDir,
    user: image.config.user,
    image,
    storageBytes: storageBytes(container.resources?.limits, config.defaultStorageBytes),
  };
}

function withDefaultPath(env: [string, string][]): [string, string][] {
  const [name = "", value = ""] = DEFAULT_PATH.split("=");
  return env.some(([key]) => key === name) ? env : [[name, value], ...env];
}

/** runsc's words as a cause that the sandbox's user understands. */
async function startErrorOf(
  deps: ContainersDeps,
  bootId: string,
  container: string,
  program: string,
  cause: RunscError,
): Promise<StartError> {
  const death = await deps.control.postMortem(bootId);
  if (death.reason === "OutOfMemory") {
    return new StartError("OutOfMemory", `The container "${container}" ran out of memory while it started.`, { cause });
  }
  if (
    /error finding executable|failed to load|no such file or directory|executable file not found/i.test(cause.message)
  ) {
    return new StartError("CommandNotFound", `The container "${container}" has no program "${program}".`, { cause });
  }
  if (/permission denied|exec format error|not a directory|is a directory/i.test(cause.message)) {
    return new StartError(
      "CommandNotFound",
      `The program "${program}" of container "${container}" cannot be executed.`,
      { cause },
    );
  }
  return new StartError("PodCreationFailed", `The container "${container}" could not be started.`, { cause });
}
