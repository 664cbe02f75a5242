import { expect, test } from "vitest";
import { createSpareDisk, type DiskKeeper } from "./spare-disk.ts";

function keeperOf(spareBytes: number, asked: number[] = []): DiskKeeper & { readonly asked: number[] } {
  return { spareBytes, asked, giveUp: async (bytes) => void asked.push(bytes) };
}

test("createSpareDisk() has those give first who were added first, each no more than it has", async () => {
  const [first, none, second] = [keeperOf(10), keeperOf(0), keeperOf(5)];
  const spare = createSpareDisk();
  expect(spare.bytes).toBe(0);
  for (const keeper of [first, none, second]) spare.add(keeper);
  expect(spare.bytes).toBe(15);
  await spare.free(0);
  await spare.free(7);
  await spare.free(12);
  expect([first.asked, none.asked, second.asked]).toEqual([[7, 10], [], [2]]);
});

test("createSpareDisk() has nobody give up anything that would not be enough", async () => {
  const keeper = keeperOf(10);
  const spare = createSpareDisk();
  spare.add(keeper);
  await spare.free(11);
  expect(keeper.asked).toEqual([]);
});
