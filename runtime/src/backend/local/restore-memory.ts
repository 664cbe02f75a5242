import type { Image } from "./image.ts";
import { StartError } from "./machine.ts";
import type { Shape } from "./shape.ts";

/** gVisor's kernel holds an archive about twice while it fills a layer from it, and keeps that memory. */
const MEMORY_FACTOR = { times: 11, over: 5 };
const MEMORY_BASE_BYTES = 64 * 2 ** 20;

/** Refuses a root whose upper archive would end the sandbox for lack of memory. */
export function checkUpperMemory(container: string, { upperTar }: Image, { memoryBytes }: Shape): void {
  if (upperTar === undefined || memoryBytes === undefined) return;
  const neededBytes = Math.ceil((upperTar.bytes * MEMORY_FACTOR.times) / MEMORY_FACTOR.over) + MEMORY_BASE_BYTES;
  // A small archive fits into what every sandbox needs anyway.
  if (upperTar.bytes <= SMALL_BYTES || neededBytes <= memoryBytes) return;
  throw new StartError(
    "RootfsRestoreConfigurationError",
    `The snapshot of container "${container}" has ${upperTar.bytes} bytes in files with extended attributes; restoring them needs ${neededBytes} bytes of memory, and the sandbox's limit is ${memoryBytes}.`,
  );
}

const SMALL_BYTES = 2 ** 20;
