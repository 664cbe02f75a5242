import { systemClock } from "#core/clock.ts";
import { silentLog } from "#core/log.ts";
import { createImageStore } from "#runtime/backend/local/node/image-store.ts";

// A root made in a process of its own, to be killed: says when it begins.
const [dir = "", base = "", path = "", tarDigest = ""] = process.argv.slice(2);
const env = { PATH: process.env["PATH"] ?? "" };
const store = await createImageStore(
  { dir, maxBytes: 1024 ** 3, reserveBytes: 1, env },
  { log: silentLog, clock: systemClock },
);
const image = store.hold(base, "sandbox-1");
if (image === undefined) throw new Error(`There is no image ${base}`);
await store.acquireLayered(image, [{ tarDigest, fetch: async () => ({ path, release: () => {} }) }], {
  holder: "sandbox-1",
  signal: new AbortController().signal,
  log: silentLog,
  onProgress: ({ phase }) => process.stdout.write(`${phase}\n`),
});
