import type { Clock } from "#core/clock.ts";
import { runTool } from "#runtime/backend/local/node/image-tool.ts";

export interface TreeBound {
  /** The folder that is filled. */
  readonly root: string;
  readonly maxBytes: number;
  /** What a tree beyond the bound is refused with. */
  readonly refusal: () => Error;
}

export interface TreeCall {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string>>;
}

const FIRST_PAUSE_MS = 100;
/** A look at a large tree is dear: this many times as long none is taken. */
const PAUSE_FACTOR = 10;
/** What a file costs at least, so that empty ones without number count too. */
const LEAST_FILE_BYTES = 4096;

/** Runs what fills a folder, and ends it when the folder grows beyond its bound; afterwards it is within it. */
export async function fillWithin(
  bound: TreeBound,
  call: TreeCall,
  fill: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const filled = new AbortController();
  const isBeyond = async (signal: AbortSignal): Promise<boolean> =>
    (await measureTree(bound.root, { signal, env: call.env })) > bound.maxBytes;
  const watch = async (): Promise<void> => {
    for (let pauseMs = FIRST_PAUSE_MS; ;) {
      await call.clock.sleep(pauseMs, filled.signal);
      const startedMs = call.clock.now();
      if (await isBeyond(filled.signal)) return over.abort(bound.refusal());
      pauseMs = Math.max(FIRST_PAUSE_MS, (call.clock.now() - startedMs) * PAUSE_FACTOR);
    }
  };
  const watching = watch().catch((error: unknown) => {
    if (!filled.signal.aborted) over.abort(error);
  });
  try {
    await fill(AbortSignal.any([call.signal, over.signal]));
  } finally {
    filled.abort();
    await watching;
  }
  if (await isBeyond(call.signal)) throw bound.refusal();
}

/** On disk, by their length, and by their number: a tree may be large in each of these ways. */
const MEASURE = `du --summarize --block-size=1 "$1"
du --summarize --block-size=1 --apparent-size "$1"
du --summarize --inodes "$1"`;

/** Bytes of a tree. Files that come or go meanwhile may be missed. */
export async function measureTree(root: string, options: Omit<TreeCall, "clock">): Promise<number> {
  const text = new TextDecoder().decode(
    await runTool("sh", ["-c", `(${MEASURE}) 2>/dev/null || :`, "measure", root], options),
  );
  const [onDisk = 0, length = 0, files = 0] = text.split("\n").map((line) => Number.parseInt(line, 10));
  const bytes = Math.max(onDisk, length, files * LEAST_FILE_BYTES);
  if (!Number.isSafeInteger(bytes)) throw new Error(`Cannot measure ${root}: du says "${text.slice(0, 200)}"`);
  return bytes;
}
