import { describe, expect, it } from "vitest";
import { parseRoutes } from "./host-routes.ts";

describe("parseRoutes()", () => {
  it("reads plain routes and each way of one with several", () => {
    const json = JSON.stringify([
      { dst: "default", gateway: "192.168.1.1", dev: "eth0", flags: [] },
      {
        dst: "10.1.0.0/16",
        flags: [],
        nexthops: [{ gateway: "192.168.1.2", dev: "eth0", weight: 1 }, { dev: "eth1" }],
      },
    ]);
    expect(parseRoutes(json)).toEqual([
      { dst: "default", dev: "eth0" },
      { dst: "10.1.0.0/16", dev: "eth0" },
      { dst: "10.1.0.0/16", dev: "eth1" },
    ]);
  });

  it.each(["", "\n", "[]"])("reads %j as none", (text) => expect(parseRoutes(text)).toEqual([]));

  it("refuses what is not a list of routes", () => expect(() => parseRoutes('[{"dev":"eth0"}]')).toThrow());
});
