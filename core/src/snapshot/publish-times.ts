/** Longest time of one request to a store, beside what its bytes are granted. */
export const STORE_REQUEST_MS = 60_000;
/** What the bytes of a manifest are granted at most. */
const MANIFEST_MS = 5000;
/** From the word that a manifest may be sent it is sent so long, and not after. */
export const PUBLISH_WINDOW_MS = 60_000;
/** So long after the last moment of sending, and what was sent has arrived or never will. */
export const ARRIVAL_MS = STORE_REQUEST_MS + MANIFEST_MS;
/** Who did not send it itself waits longer: who did may be about to say what became of it. */
export const SETTLE_MS = 2 * ARRIVAL_MS;
