import { RecordFault } from "../record-fault.ts";

/** What gVisor says of a container whose main process is gone, in the several places where it notices. */
const ENDED = /no checkpointable filesystems|failed to find process|is not running|in state (?:stopped|created)/i;
const LOST = /file does not exist|connection refused|urpc method .* failed: EOF|no such file or directory/i;
const FULL = /no space left on device|disk quota exceeded/i;

/** Why a container was not saved, by the words with which gVisor refused it. They are kept for the log. */
export function dumpFault(said: string, containerName: string, cause: unknown): RecordFault {
  if (FULL.test(said)) {
    return new RecordFault("DiskFull", "The node's disk has too little room to save the container.", { cause });
  }
  if (ENDED.test(said)) {
    const message = `The container "${containerName}" has ended: only a running container can be saved.`;
    return new RecordFault("ContainerEnded", message, { cause });
  }
  if (LOST.test(said)) {
    return new RecordFault("SandboxLost", "The sandbox ended before it was saved.", { cause });
  }
  return new RecordFault("DumpFailed", `gVisor could not save the container "${containerName}".`, { cause });
}
