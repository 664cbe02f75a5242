/**
 * Accounts of the output that is kept. A stream is charged for the bytes between the first one
 * kept and the limit up to which it may write: space is charged before it is used, so the
 * budget holds at every moment.
 */
export interface KeptStream {
  /** Bytes kept are `first` to `end`; `first` is a multiple of the segment size, or `end` when nothing is kept. */
  first: number;
  end: number;
  /** The stream may write up to here; equals `end` once it is complete. */
  limit: number;
  complete: boolean;
  /** The agent restarted before the stream was complete: the rest of it does not exist. */
  lost: boolean;
  /** Positions of the readers attached now; no byte at or after one is dropped. */
  readonly readers: Set<{ offset: number }>;
}

/** One command as the accounts see it. */
export interface KeptCommand<Stream extends KeptStream = KeptStream> {
  readonly id: string;
  /** The order in which commands ended; undefined while it runs. */
  readonly endedOrder: number | undefined;
  readonly streams: readonly [Stream, Stream];
}

/** Drop the stream's bytes before `first`. */
export interface Drop<Stream> {
  readonly command: string;
  readonly streamIndex: 0 | 1;
  readonly stream: Stream;
  readonly first: number;
}

export const FIRST_GRANT_BYTES = 64 << 10;
const MOST_GRANT_BYTES = 4 << 20;

/** Segment of a journal: what is dropped at once. */
export function segmentBytesFor(budgetBytes: number): number {
  const wanted = Math.floor(budgetBytes / 16 / FIRST_GRANT_BYTES) * FIRST_GRANT_BYTES;
  return Math.min(MOST_GRANT_BYTES, Math.max(FIRST_GRANT_BYTES, wanted));
}

export function chargedBytes(stream: KeptStream): number {
  return stream.limit - stream.first;
}

/** The limit to ask for when a stream has used up half of its last grant; the present limit while it has not. */
export function nextLimit(stream: KeptStream, segmentBytes: number): number {
  const step = Math.min(segmentBytes, Math.max(FIRST_GRANT_BYTES, stream.end));
  return stream.limit - stream.end > step / 2 ? stream.limit : stream.end + step;
}

/**
 * What to drop so that `wantedBytes` become free: first all output of ended commands that nobody
 * reads, the one that ended first before others; then the oldest whole segments of the stream that
 * keeps the most, never what an attached reader has still to get. Undefined when that is not
 * enough: then the writer has to wait.
 */
export function planDrops<Stream extends KeptStream>(
  commands: readonly KeptCommand<Stream>[],
  wantedBytes: number,
  segmentBytes: number,
): Drop<Stream>[] | undefined {
  const drops: Drop<Stream>[] = [];
  let missing = wantedBytes;
  const add = (command: KeptCommand<Stream>, stream: Stream, first: number): void => {
    missing -= first - stream.first;
    drops.push({ command: command.id, streamIndex: stream === command.streams[0] ? 0 : 1, stream, first });
  };
  const idle = commands.filter(
    (command) => isOver(command) && command.streams.every(({ readers }) => readers.size === 0),
  );
  for (const command of idle.toSorted((a, b) => (a.endedOrder ?? 0) - (b.endedOrder ?? 0))) {
    for (const stream of command.streams)
      if (missing > 0 && stream.first < stream.end) add(command, stream, stream.end);
  }
  const others = commands
    .filter((command) => !idle.includes(command))
    .flatMap((command) =>
      command.streams.map((stream) => ({ command, stream, most: droppableTo(stream, segmentBytes) })),
    )
    .filter(({ stream, most }) => most > stream.first)
    .toSorted((a, b) => b.most - b.stream.first - (a.most - a.stream.first));
  for (const { command, stream, most } of others) {
    if (missing > 0)
      add(command, stream, Math.min(most, stream.first + Math.ceil(missing / segmentBytes) * segmentBytes));
  }
  return missing > 0 ? undefined : drops;
}

function isOver(command: KeptCommand): boolean {
  return command.endedOrder !== undefined && command.streams.every(({ complete, lost }) => complete || lost);
}

function droppableTo(stream: KeptStream, segmentBytes: number): number {
  const needed = Math.min(stream.end, ...[...stream.readers].map(({ offset }) => offset));
  return Math.max(stream.first, Math.floor(needed / segmentBytes) * segmentBytes);
}
