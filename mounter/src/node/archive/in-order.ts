/** Works on so many items at once, and gives the results in the order of the items. All have come to rest when it ends. */
export async function* inOrder<Item, Result>(
  source: AsyncIterable<Item>,
  width: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const under: Promise<Result>[] = [];
  try {
    for await (const item of source) {
      const result = work(item);
      // It may fail before it is its turn; then it is told.
      result.catch(() => undefined);
      under.push(result);
      if (under.length < width) continue;
      const [first] = under;
      if (first !== undefined) yield await first;
      void under.shift();
    }
    for (const result of under) yield await result;
  } finally {
    await Promise.allSettled(under);
  }
}
