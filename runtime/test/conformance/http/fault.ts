import type { HttpClient } from "../http-client.ts";

/** What goes wrong in a sandbox while its output is read. */
export interface HttpFault {
  readonly name: string;
  /** True when the agent has forgotten what ran. */
  readonly forgets: boolean;
  /** Resolves when it has happened and commands can be started again. */
  inflict(client: HttpClient, sandbox: string): Promise<void>;
}

const byProgram = (name: string, forgets: boolean): HttpFault => ({
  name,
  forgets,
  inflict: async (client, sandbox) => {
    await client.exitCode(await client.spawn(sandbox, [name]));
  },
});

/** The simulated container has programs for them. */
export const MEMORY_FAULTS: readonly HttpFault[] = [byProgram("cut-streams", false), byProgram("restart-agent", true)];
