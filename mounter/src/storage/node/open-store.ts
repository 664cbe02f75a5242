import { mkdir } from "node:fs/promises";
import type { Clock } from "#core/clock.ts";
import type { StoreDriver, UploadRules } from "../driver.ts";
import { createObjectStore } from "../object-store.ts";
import type { ObjectStore } from "../port.ts";
import { PATIENCE, type Patience } from "../retry.ts";
import { parseStoreUrl, type StoreLocation } from "../store-url.ts";
import { withPrefix } from "../with-prefix.ts";
import type { StoreCredentials } from "../store-credentials.ts";
import { folderFault } from "./folder-fault.ts";

export interface OpenStoreOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Mark of a write, never the same twice: up to 40 letters, digits and hyphens. */
  readonly newMark: () => string;
  readonly credentials: StoreCredentials;
  readonly patience?: Partial<Patience>;
  /** What else than the kind's own rules of uploads. */
  readonly rules?: Partial<UploadRules>;
}

/** Opens the store that a URL names. Only the library of its kind is loaded; nothing is asked of it yet. */
export async function openStore(url: string, options: OpenStoreOptions): Promise<ObjectStore> {
  const patience = { ...PATIENCE, ...options.patience };
  const location = parseStoreUrl(url);
  const driver = await createDriver(location, { ...options, patience });
  const { readsBack = false } = location;
  const prefix = location.kind === "folder" ? "" : location.prefix;
  return createObjectStore(withPrefix(driver, prefix), { ...options, patience, readsBack });
}

async function createDriver(
  location: StoreLocation,
  { credentials, clock, patience: { stallMs }, rules }: OpenStoreOptions & { readonly patience: Patience },
): Promise<StoreDriver> {
  switch (location.kind) {
    case "folder": {
      const { createFolderDriver, FOLDER_RULES } = await import("./folder.ts");
      await makeFolder(location.path);
      return createFolderDriver({ path: location.path, clock, rules: { ...FOLDER_RULES, ...rules } });
    }
    case "s3": {
      const { createS3Driver, S3_RULES } = await import("./s3.ts");
      return createS3Driver({ location, credentials, stallMs, rules: { ...S3_RULES, ...rules }, now: clock.now });
    }
    case "gcs": {
      const { createGcsDriver, GCS_RULES } = await import("./gcs.ts");
      return createGcsDriver({ location, credentials, stallMs, rules: { ...GCS_RULES, ...rules } });
    }
    case "azure": {
      const { createAzureDriver, AZURE_RULES } = await import("./azure.ts");
      return createAzureDriver({ location, credentials, stallMs, rules: { ...AZURE_RULES, ...rules } });
    }
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw folderFault(`Cannot use file://${path} as a store`, error);
  }
}
