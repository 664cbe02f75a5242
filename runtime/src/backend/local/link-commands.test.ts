import { describe, expect, it } from "vitest";
import { guestBatch, hostBatch, shapeArguments } from "./link-commands.ts";
import { DEFAULT_NET, linkOf } from "./network.ts";

const link = linkOf(DEFAULT_NET, 0);

describe("hostBatch() and guestBatch()", () => {
  it("fix each other's neighbour and give the larger world one way out", () => {
    expect(hostBatch(link, { mtu: 1400, ipv6: true })).toContain(
      "neigh replace 10.201.0.1 lladdr 02:a7:00:00:00:02 dev atoll-0 nud permanent",
    );
    expect(guestBatch(link, { mtu: 1400, ipv6: true })).toContain(
      "neigh replace 10.201.0.0 lladdr 02:a7:00:00:00:01 dev eth0 nud permanent",
    );
    expect(guestBatch(link, { mtu: 1400, ipv6: true })).toContain("route add default via fd61:746f:6c6c:: dev eth0");
  });

  it("name nothing of IPv6 on a host without it", () => {
    const options = { mtu: 1500, ipv6: false };
    expect(hostBatch(link, options) + guestBatch(link, options)).not.toMatch(/fd61|addrgenmode/);
  });
});

describe("shapeArguments()", () => {
  it.each([
    [1, 131_073],
    [400_000, 231_072],
    [1_000_000_000_000, 4_194_304],
  ])("at %i bytes a second queues %i bytes", (bytesPerSecond, queueBytes) => {
    const line = shapeArguments(link, { bytesPerSecond, burstBytes: 131_072 }).join(" ");
    expect(line).toBe(
      `-n atoll-0 qdisc replace dev eth0 root tbf rate ${bytesPerSecond}bps burst 131072 limit ${queueBytes}`,
    );
  });
});
