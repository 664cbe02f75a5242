import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import type { UploadRules } from "#mounter/storage/driver.ts";
import type { StoreCredentials } from "#mounter/storage/store-credentials.ts";
import { openTestStore } from "./servers.ts";

export interface Place {
  readonly url: string;
  readonly credentials: StoreCredentials;
  readonly rules: Partial<UploadRules>;
  readonly showsUploads: boolean;
}

const call = { signal: new AbortController().signal };

/** A process that begins an upload and is ended by SIGKILL in its middle. */
export function checkKilled(placeOf: () => Place): void {
  test("upload() of a killed process leaves no object, and what it leaves can be collected", async () => {
    const { showsUploads, ...place } = placeOf();
    const store = await openTestStore(place.url, place);
    const key = "snapshot/data";
    const child = startChild({ kind: "hang", key, partBytes: place.rules.partBytes ?? 0, ...place });
    const lines = createInterface(child.stdout);
    await Promise.race([once(lines, "line"), once(child, "exit").then(() => Promise.reject(new Error("It ended")))]);
    child.kill("SIGKILL");
    await once(child, "exit");
    await expect(store.stat(key, call)).rejects.toMatchObject({ kind: "absent" });
    expect((await store.list("snapshot/", {}, call)).items).toEqual([]);
    const { items } = await store.listUploads("snapshot/", {}, call);
    expect(items.map((upload) => upload.key)).toEqual(showsUploads ? [key] : []);
    for (const upload of items) {
      expect(Math.abs(upload.startedAtMs - Date.now())).toBeLessThan(60_000);
      await store.abortUpload(upload, call);
      await store.abortUpload(upload, call);
    }
    expect((await store.listUploads("snapshot/", {}, call)).items).toEqual([]);
    store.close();
  });
}

/** What `store-process.ts` is asked to do. */
export type Errand = Omit<Place, "showsUploads"> & { readonly key: string } & (
    | { readonly kind: "hang"; readonly partBytes: number }
    | { readonly kind: "both-ways"; readonly sizeBytes: number }
  );

export function startChild(errand: Errand) {
  const program = join(import.meta.dirname, "store-process.ts");
  return spawn(process.execPath, [program, JSON.stringify(errand)], { stdio: ["ignore", "pipe", "inherit"] });
}
