/** Gives back what was taken; once. */
export type GiveBack = () => void;

/** An amount that many share. Who asks for more than is left waits, in order: nobody overtakes, nobody starves. */
export interface Quota {
  readonly total: number;
  readonly taken: number;
  /** How many wait. */
  readonly waiting: number;
  /** Resolves when the amount is taken; rejects with the signal's reason. More than the total is a `RangeError`. */
  take(amount: number, signal: AbortSignal): Promise<GiveBack>;
  /** The same where nobody has to wait for it; undefined elsewhere. */
  tryTake(amount: number): GiveBack | undefined;
}

interface Waiter {
  readonly amount: number;
  readonly admit: (give: GiveBack) => void;
}

export function createQuota(total: number): Quota {
  const queue: Waiter[] = [];
  let taken = 0;
  const next = (): void => {
    for (let head = queue[0]; head !== undefined && taken + head.amount <= total; head = queue[0]) {
      queue.shift();
      head.admit(occupy(head.amount));
    }
  };
  const occupy = (amount: number): GiveBack => {
    let isTaken = true;
    taken += amount;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      taken -= amount;
      next();
    };
  };
  const tryTake = (amount: number): GiveBack | undefined =>
    queue.length === 0 && taken + amount <= total ? occupy(amount) : undefined;
  return {
    total,
    get taken() {
      return taken;
    },
    get waiting() {
      return queue.length;
    },
    async take(amount, signal) {
      signal.throwIfAborted();
      if (amount > total) throw new RangeError(`${amount} is more than the ${total} there are`);
      const free = tryTake(amount);
      if (free !== undefined) return free;
      const turn = Promise.withResolvers<GiveBack>();
      const waiter: Waiter = { amount, admit: turn.resolve };
      queue.push(waiter);
      const onAbort = (): void => {
        const index = queue.indexOf(waiter);
        if (index < 0) return;
        queue.splice(index, 1);
        turn.reject(signal.reason);
        next();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      return turn.promise.finally(() => signal.removeEventListener("abort", onAbort));
    },
    tryTake,
  };
}
