import { createHash } from "node:crypto";
import type { Errand } from "./killed.ts";
import { chunked, endless, sample } from "./samples.ts";
import { openTestStore } from "./servers.ts";

/** A process of its own that uses a store as it is told; it says what it did in one line. */
const errand = JSON.parse(process.argv[2] ?? "") as Errand;
const call = { signal: new AbortController().signal };
const store = await openTestStore(errand.url, errand);

switch (errand.kind) {
  case "hang": {
    const say = (stored: number): void => console.log(`stored ${stored}`);
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield* chunked(sample(errand.partBytes * 2 + 1));
      await new Promise(() => void setInterval(() => undefined, 60_000));
    };
    await store.upload(errand.key, source(), { condition: { kind: "always" }, onProgress: say }, call);
    break;
  }
  case "both-ways": {
    // What the libraries themselves need is there before it is measured what the data needs.
    await store.upload("warm", endless(20 << 20), { condition: { kind: "always" } }, call);
    const beforeBytes = process.memoryUsage().rss;
    let mostBytes = beforeBytes;
    const watch = setInterval(() => (mostBytes = Math.max(mostBytes, process.memoryUsage().rss)), 20);
    const sent = createHash("sha256");
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of endless(errand.sizeBytes)) {
        sent.update(chunk);
        yield chunk;
      }
    };
    const written = await store.upload(errand.key, counted(), { condition: { kind: "always" } }, call);
    const got = createHash("sha256");
    let gotBytes = 0;
    for await (const chunk of store.read(written, { offset: 0, sizeBytes: written.sizeBytes }, call)) {
      got.update(chunk);
      gotBytes += chunk.length;
    }
    clearInterval(watch);
    const isSame = sent.digest("hex") === got.digest("hex");
    console.log(JSON.stringify({ isSame, gotBytes, grownBytes: mostBytes - beforeBytes }));
    store.close();
    break;
  }
}
