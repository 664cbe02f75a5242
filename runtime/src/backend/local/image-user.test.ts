import { describe, expect, test } from "vitest";
import { resolveImageUser } from "./image-user.ts";

const passwd =
  "# users\nroot:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:,,,:/home/app:/bin/sh\n1000:x:7:8::/odd:/bin/sh\nbroken\nbad:x:no:1::/:\nhomeless:x:5:5::relative:\n";
const group = "root:x:0:\nwheel:x:10:root,app\napp:x:1001:app\nextra:x:1002:app,app\nbroken:x\n";
const database = { passwd, group };

describe("resolveImageUser()", () => {
  test.each([
    ["", { uid: 0, gid: 0, additionalGids: [10], home: "/root" }],
    ["root", { uid: 0, gid: 0, additionalGids: [10], home: "/root" }],
    ["app", { uid: 1000, gid: 1001, additionalGids: [10, 1001, 1002], home: "/home/app" }],
    ["app:wheel", { uid: 1000, gid: 10, additionalGids: [], home: "/home/app" }],
    ["app:77", { uid: 1000, gid: 77, additionalGids: [], home: "/home/app" }],
    ["app:", { uid: 1000, gid: 1001, additionalGids: [10, 1001, 1002], home: "/home/app" }],
    [":wheel", { uid: 0, gid: 10, additionalGids: [], home: "/root" }],
    // A name wins over a number, as in container engines.
    ["1000", { uid: 7, gid: 8, additionalGids: [], home: "/odd" }],
    ["4242", { uid: 4242, gid: 0, additionalGids: [], home: "/" }],
    ["4242:4243", { uid: 4242, gid: 4243, additionalGids: [], home: "/" }],
    ["homeless", { uid: 5, gid: 5, additionalGids: [], home: "/" }],
  ])("resolves %j", (user, expected) => {
    expect(resolveImageUser(user, database)).toEqual(expected);
  });

  test.each(["nobody", "app:nogroup", "bad", "broken", "-1", "4294967295", "1e3", "0x10", "99999999999"])(
    "does not know %j",
    (user) => {
      expect(resolveImageUser(user, database)).toBeUndefined();
    },
  );

  test("without a user database knows numbers only", () => {
    const empty = { passwd: "", group: "" };
    expect(resolveImageUser("", empty)).toEqual({ uid: 0, gid: 0, additionalGids: [], home: "/root" });
    expect(resolveImageUser("5:6", empty)).toEqual({ uid: 5, gid: 6, additionalGids: [], home: "/" });
    expect(resolveImageUser("root", empty)).toBeUndefined();
  });
});
