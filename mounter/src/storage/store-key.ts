import { StoreError } from "./store-error.ts";

const MOST_BYTES = 900;
/** A segment that begins with a letter or digit is no way out of a folder and no file of the store's own. */
const SEGMENT = /^[A-Za-z0-9][A-Za-z0-9._=+@~-]{0,199}$/;
const RULE =
  "keys are segments of letters, digits and ._=+@~- that begin with a letter or digit, up to 200 characters each and 900 in all, split by /";

/** Refuses a key that not every store can hold under the same name. */
export function checkKey(store: string, key: string): void {
  if (key.length <= MOST_BYTES && key.split("/").every((segment) => SEGMENT.test(segment))) return;
  throw new StoreError("invalid", `${JSON.stringify(key)} is no key of ${store}: ${RULE}.`);
}

/** Refuses a prefix of which no key can begin; empty means all. */
export function checkPrefix(store: string, prefix: string): void {
  const segments = prefix.split("/");
  const begun = segments.pop() ?? "";
  const isWhole = segments.every((segment) => SEGMENT.test(segment));
  if (prefix.length <= MOST_BYTES && isWhole && (begun === "" || SEGMENT.test(begun))) return;
  throw new StoreError("invalid", `${JSON.stringify(prefix)} is no prefix of keys of ${store}: ${RULE}.`);
}
