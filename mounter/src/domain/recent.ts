/** What was learnt last, of a bounded number of things: who asks for another has to learn it anew. */
export interface Recent<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
}

export function createRecent<Value>(most: number): Recent<Value> {
  const known = new Map<string, Value>();
  const set = (key: string, value: Value): void => {
    known.delete(key);
    known.set(key, value);
    const longestUnused = known.keys().next().value;
    if (known.size > most && longestUnused !== undefined) known.delete(longestUnused);
  };
  return {
    get(key) {
      const value = known.get(key);
      if (value !== undefined) set(key, value);
      return value;
    },
    set,
  };
}
