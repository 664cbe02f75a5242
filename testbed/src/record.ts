import * as z from "zod";

const BoxRecord = z.object({
  /** Folder of the testbed. */
  root: z.string(),
  /** First process of the box, in the machine's numbers. */
  pid: z.int().min(2),
  /** Start of that process in clock ticks since boot: it tells the process from a later one of the same number. */
  startTicks: z.int(),
  startedAt: z.string(),
});

/** What `up` leaves for the other verbs. It lies where a restart of the machine forgets it. */
export type BoxRecord = z.infer<typeof BoxRecord>;

/** Reads a record; undefined when the text is not one. */
export function parseBoxRecord(text: string): BoxRecord | undefined {
  try {
    return BoxRecord.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
