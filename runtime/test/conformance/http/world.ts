import type { HttpClient } from "../http-client.ts";

/** What the cases have to know of the world behind the gateway under test. */
export interface HttpWorld {
  readonly faults: readonly HttpFault[];
  /** A reference that its registry does not have. */
  readonly missingImage: string;
  /** How much output of a sandbox is kept. */
  readonly journalBytes: number;
  /** Whether the backend takes snapshots. */
  readonly takesSnapshots: boolean;
  /** Creates at once whose callers go away. */
  readonly abandonedCreates: number;
  /** Longest wait until what was asked for has happened. */
  readonly patienceMs: number;
}

/** What goes wrong in a sandbox while its output is read. */
export interface HttpFault {
  readonly name: string;
  /** True when the agent has forgotten what ran. */
  readonly forgets: boolean;
  /** Resolves when it has happened and commands can be started again. */
  inflict(client: HttpClient, sandbox: string): Promise<void>;
}

/** The simulated container has programs for them. */
const byProgram = (name: string, forgets: boolean): HttpFault => ({
  name,
  forgets,
  inflict: async (client, sandbox) => {
    await client.exitCode(await client.spawn(sandbox, [name]));
  },
});

export const MEMORY_WORLD: HttpWorld = {
  faults: [byProgram("cut-streams", false), byProgram("restart-agent", true)],
  missingImage: "missing.invalid/none:1",
  journalBytes: 16 << 20,
  takesSnapshots: true,
  abandonedCreates: 100,
  patienceMs: 10_000,
};
