import { systemClock } from "#core/clock.ts";
import { publishSnapshot } from "#mounter/node/snapshot/publish-snapshot.ts";
import { createLayerCache } from "#mounter/node/cache/layer-cache.ts";
import { fetchSnapshot } from "#mounter/node/snapshot/fetch-snapshot.ts";
import { sampleRequest } from "../mounter/sample-snapshot.ts";
import { sample } from "./samples.ts";
import { openTestStore } from "./servers.ts";
import type { EngineErrand } from "./engine.ts";

/** A process of its own that writes or fetches a snapshot; it says how far it is. */
const errand = JSON.parse(process.argv[2] ?? "") as EngineErrand;
const call = { signal: new AbortController().signal };
const store = await openTestStore(errand.url, errand);
const say = (what: object): void => console.log(JSON.stringify(what));

if (errand.kind === "publish") {
  const request = sampleRequest({
    writeId: errand.writeId,
    second: errand.second,
    bytes: sample(errand.sizeBytes, errand.second + 1),
  });
  const ports = { store, clock: systemClock, newAttempt: () => `p${process.pid}` };
  const done = await publishSnapshot(ports, request, {
    ...call,
    onProgress: ({ phase, bytesDone }) => say({ phase, bytesDone }),
    beforePublish: async () => {
      say({ phase: "Publishing" });
      return undefined;
    },
  });
  say({ phase: "Done", kind: done.kind });
} else {
  const config = { dir: errand.dir, maxBytes: 2 ** 40, reserveBytes: 0, partBytes: errand.partBytes };
  const cache = await createLayerCache(config, { store, clock: systemClock });
  const beforeBytes = process.memoryUsage().rss;
  let mostBytes = beforeBytes;
  const watch = setInterval(() => (mostBytes = Math.max(mostBytes, process.memoryUsage().rss)), 20);
  const place = { namespace: "team", name: "work" };
  const { layers } = await fetchSnapshot({ store, cache }, place, {
    ...call,
    onProgress: (bytesDone) => say({ phase: "Fetching", bytesDone }),
  });
  clearInterval(watch);
  say({ phase: "Done", path: layers[0]?.path, grownBytes: mostBytes - beforeBytes });
}
store.close();
