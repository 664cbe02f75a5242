import { expect, test } from "vitest";
import { planContainer } from "./container-plan.ts";
import { heldKey } from "./held.ts";
import type { Image } from "./image.ts";

const image: Image = {
  digest: "sha256:aa",
  erofsPath: "/i/aa.erofs",
  emptyRootDir: "/i/empty",
  sizeBytes: 1,
  config: {
    entrypoint: ["/entry"],
    cmd: [],
    env: { LANG: "C", HOME: "/image" },
    workingDir: "",
    user: { uid: 7, gid: 8, additionalGids: [9], home: "/" },
  },
};
const GIB = 1024 ** 3;

test("planContainer gives the container's environment over the image's, a PATH, and the container's name", () => {
  const { order } = planContainer({ name: "a", image: "x", env: { HOME: "/own" } }, image, GIB);
  expect(order.args).toEqual(["sleep", "infinity"]);
  expect(order.env.toSorted()).toEqual([
    "HOME=/own",
    "ISOLA_CONTAINER_NAME=a",
    "LANG=C",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  ]);
});

test("planContainer lets nobody name the container otherwise", () => {
  const { order } = planContainer({ name: "a", image: "x", env: { ISOLA_CONTAINER_NAME: "b" } }, image, GIB);
  expect(order.env).toContain("ISOLA_CONTAINER_NAME=a");
  expect(order.env).not.toContain("ISOLA_CONTAINER_NAME=b");
});

test("heldKey tells containers apart by image and disk, not by name, command or environment", () => {
  const key = (extra: object, digest = "sha256:aa"): string =>
    heldKey([planContainer({ name: "a", image: "x", env: {}, ...extra }, { ...image, digest }, GIB).held]);
  expect(key({ name: "b", command: ["true"], env: { A: "1" } })).toBe(key({}));
  expect(key({ resources: { limits: { ephemeralStorage: "2Gi" } } })).not.toBe(key({}));
  expect(key({}, "sha256:bb")).not.toBe(key({}));
});
