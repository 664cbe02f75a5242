import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { includes, cidr } from "#core/cidr.ts";
import { parseIp } from "#core/ip.ts";
import {
  DEFAULT_NET,
  capacityOf,
  checkNetConfig,
  findClash,
  indexOfName,
  linkOf,
  lowestFreeIndex,
  type NetConfig,
} from "./network.ts";

const anyIndex = fc.integer({ min: 0, max: capacityOf(DEFAULT_NET) - 1 });

describe("linkOf()", () => {
  it("gives the two ends of a sandbox a pair of its own", () => {
    expect(linkOf(DEFAULT_NET, 300)).toMatchObject({
      netns: "atoll-300",
      netnsPath: "/run/netns/atoll-300",
      ifname: "atoll-300",
      ipv4: { host: "10.201.2.88", guest: "10.201.2.89", prefix: 31 },
      ipv6: { host: "fd61:746f:6c6c::258", guest: "fd61:746f:6c6c::259", prefix: 127 },
    });
  });

  it("stays in the pools and never gives an address twice", () => {
    fc.assert(
      fc.property(anyIndex, anyIndex, (a, b) => {
        const [one, other] = [linkOf(DEFAULT_NET, a), linkOf(DEFAULT_NET, b)];
        for (const [ends, pool] of [
          [one.ipv4, DEFAULT_NET.pool4],
          [one.ipv6, DEFAULT_NET.pool6],
        ] as const) {
          for (const text of [ends.host, ends.guest]) {
            const ip = parseIp(text);
            expect(ip && includes(cidr(pool), ip)).toBe(true);
          }
          expect(cidr(`${ends.host}/${ends.prefix}`)).toEqual(cidr(`${ends.guest}/${ends.prefix}`));
        }
        const all = [one, other].flatMap(({ ipv4, ipv6 }) => [ipv4.host, ipv4.guest, ipv6.host, ipv6.guest]);
        expect(new Set(all).size).toBe(a === b ? 4 : 8);
      }),
    );
  });

  it.each([-1, 1.5, 32_768])("refuses the index %d", (index) => {
    expect(() => linkOf(DEFAULT_NET, index)).toThrow(/outside the pool/);
  });
});

describe("indexOfName()", () => {
  it("is the inverse of a link's name", () => {
    fc.assert(
      fc.property(anyIndex, (index) => {
        expect(indexOfName(DEFAULT_NET, linkOf(DEFAULT_NET, index).ifname)).toBe(index);
      }),
    );
  });

  it.each(["atoll", "atoll-", "atoll-x", "atoll-01", "atoll-1-2", "atollb-1", "eth0", "atoll-32768", "atoll--1"])(
    "knows nothing of %s",
    (name) => expect(indexOfName(DEFAULT_NET, name)).toBeUndefined(),
  );
});

describe("lowestFreeIndex()", () => {
  it.each<[number[], number, number | undefined]>([
    [[], 4, 0],
    [[0, 1, 3], 4, 2],
    [[0, 1, 2, 3], 4, undefined],
  ])("of %j with room for %i is %s", (used, capacity, index) => {
    expect(lowestFreeIndex(new Set(used), capacity)).toBe(index);
  });
});

describe("findClash()", () => {
  it.each<[string, string, string | undefined]>([
    ["default", "eth0", undefined],
    ["192.168.1.0/24", "eth0", undefined],
    ["10.201.7.0/24", "tun0", "10.201.0.0/16"],
    ["10.0.0.0/8", "tun0", "10.201.0.0/16"],
    ["10.201.3.4", "tun0", "10.201.0.0/16"],
    ["10.201.0.2/31", "atoll-1", undefined],
    ["fd61:746f::/32", "tun0", "fd61:746f:6c6c::/64"],
    ["fe80::/64", "eth0", undefined],
  ])("of a route to %s through %s is %s", (dst, dev, pool) => {
    expect(findClash(DEFAULT_NET, [{ dst, dev }])?.pool).toBe(pool);
  });
});

describe("checkNetConfig()", () => {
  it("takes the default", () => expect(() => checkNetConfig(DEFAULT_NET)).not.toThrow());

  it.each<Partial<NetConfig>>([
    { name: "" },
    { name: "toolongname" },
    { name: "a-b" },
    { name: "a;b" },
    { pool4: "10.201.0.0/31" },
    { pool4: "10.201.0.1/16" },
    { pool4: "fd00::/64" },
    { pool6: "10.0.0.0/8" },
    { pool6: "x" },
  ])("refuses %j", (wrong) => expect(() => checkNetConfig({ ...DEFAULT_NET, ...wrong })).toThrow(RangeError));
});
