import { systemClock } from "#core/clock.ts";
import { silentLog } from "#core/log.ts";
import { createImageStore } from "#runtime/backend/local/node/image-store.ts";

// A pull in a process of its own, to be killed: prints each phase it reaches.
const [dir = "", reference = "", registry = ""] = process.argv.slice(2);
const env = { PATH: process.env["PATH"] ?? "", HOME: dir };
const config = { dir, maxBytes: 1024 ** 3, reserveBytes: 1, insecureRegistries: [registry], env };
const store = await createImageStore(config, { log: silentLog, clock: systemClock });
const phases = new Set<string>();
await store.acquire(reference, {
  holder: "sandbox-1",
  signal: new AbortController().signal,
  log: silentLog,
  onProgress: ({ phase }) => {
    if (!phases.has(phase)) process.stdout.write(`${phase}\n`);
    phases.add(phase);
  },
});
await new Promise(() => setInterval(() => {}, 1000));
