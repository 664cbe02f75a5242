import type { Clock } from "#core/clock.ts";

/** Layers on their way from the store, by their keys. */
export type ComingLayers = Set<{ readonly key: string }>;

/** What takes longer is worth a word. */
const SLOW_MS = 3000;
const COMING = "the rest of its snapshot, which is on its way from the store";

/** What one start waits for, in words that end "It waits for …". Tells each change. */
export class StartWait {
  readonly #coming: ComingLayers;
  readonly #onWait: (what: string | undefined) => void;
  readonly #keys = new Set<string>();
  #asked: string | undefined;
  #missing: string | undefined;
  #lost: string | undefined;
  #slow: string | undefined;
  #told: string | undefined;

  constructor(coming: ComingLayers, onWait: (what: string | undefined) => void) {
    this.#coming = coming;
    this.#onWait = onWait;
  }

  /** The store is asked what a name means. */
  asks(snapshotName: string | undefined): void {
    this.#asked = snapshotName;
  }

  /** It has answered for all names, or for all but one. */
  found(missing: string | undefined): void {
    this.#asked = undefined;
    this.#slow = undefined;
    this.#missing = missing;
    this.#tell();
  }

  /** It starts from this layer. */
  needs(key: string): void {
    this.#keys.add(key);
  }

  /** What has not come is waited for until all is there. */
  lost(what: string): void {
    this.#lost = what;
    this.#tell();
  }

  end(): void {
    this.#asked = this.#missing = this.#lost = this.#slow = undefined;
    this.#tell();
  }

  /** Looks now and then for what gives no sign of itself, until the signal fires. */
  async look(clock: Clock, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await clock.sleep(SLOW_MS, signal);
      } catch {
        return;
      }
      const isComing = [...this.#coming].some(({ key }) => this.#keys.has(key));
      const unknown = `the snapshot "${this.#asked}", as the store does not say what it is`;
      this.#slow = this.#asked !== undefined ? unknown : isComing ? COMING : undefined;
      this.#tell();
    }
  }

  #tell(): void {
    const what = this.#missing ?? this.#lost ?? this.#slow;
    if (what === this.#told) return;
    this.#told = what;
    this.#onWait(what);
  }
}
