import { AGENT_FILES } from "#sidecar/manifest.ts";

/** Open to all by the trial's policy, and closed by it. */
export const TRIAL_PORTS = { open: 18_181, closed: 18_182 } as const;
/** A policy that is new takes a while to reach the nodes. */
const PATIENCE_MS = 20_000;
const CONNECT_MS = 1500;

/** Listens on both ports of its own address. */
const SERVER = `for (const port of [${TRIAL_PORTS.open}, ${TRIAL_PORTS.closed}]) Bun.listen({ hostname: process.env.POD_IP, port, socket: { open(s) { s.end(); }, data() {} } });`;

/** Has to reach the open port, and in the end not the closed one. */
const CLIENT = `
const hostname = process.env.SERVER_IP;
const reach = (port) => Promise.race([
  Bun.connect({ hostname, port, socket: { data() {} } }).then((s) => { s.end(); return true; }, () => false),
  Bun.sleep(${CONNECT_MS}).then(() => false),
]);
const until = async (port, wanted) => {
  for (const end = Date.now() + ${PATIENCE_MS}; Date.now() < end; await Bun.sleep(200))
    if ((await reach(port)) === wanted) return true;
  return false;
};
if (!(await until(${TRIAL_PORTS.open}, true))) process.exit(4);
process.exit((await until(${TRIAL_PORTS.closed}, false)) && (await reach(${TRIAL_PORTS.open})) ? 0 : 3);`;

/** What the trial's pods run, to the letter: the admission policies let the operator run nothing else there. */
export const TRIAL_COMMANDS = { server: runs(SERVER), client: runs(CLIENT) } as const;

function runs(program: string): readonly string[] {
  return [AGENT_FILES.runtime, "--smol", "-e", program];
}
