import { describe, expect, it } from "vitest";
import { gatewayConfigOf, listenOf, readEnvironment } from "./manifest.ts";

const HASH = "a".repeat(64);

describe("readEnvironment", () => {
  it("has a default for everything, and binds loopback", () => {
    const env = readEnvironment({ PATH: "/bin", ATOLL_RUNSC: "" });
    expect(listenOf(env)).toEqual({ hostname: "127.0.0.1", port: 8080 });
    expect(gatewayConfigOf(env)).toMatchObject({ createWaitMs: 10_000, apiKeyHashes: [], allowedHosts: [] });
    expect(env).toMatchObject({ ATOLL_HOME: "/var/lib/atoll", ATOLL_POOL_SIZE: 2, ATOLL_BACKEND: "local" });
  });

  it("names all faults in one message", () => {
    const faulty = {
      ATOLL_CREATE_WAIT_MS: "20001",
      ATOLL_POOL_SIZE: "-1",
      ATOLL_LISTEN: "8080",
      ATOLL_API_KEY_HASHES: "x",
    };
    expect(() => readEnvironment(faulty)).toThrow(
      /ATOLL_LISTEN.*ATOLL_API_KEY_HASHES.*ATOLL_CREATE_WAIT_MS.*ATOLL_POOL_SIZE/,
    );
  });

  it.each(["0.0.0.0:8080", "[::]:80", "10.0.0.1:80", "gateway.example:80"])(
    "refuses %s without keys unless that is wanted",
    (listen) => {
      expect(() => readEnvironment({ ATOLL_LISTEN: listen })).toThrow("without API keys");
      expect(() => readEnvironment({ ATOLL_LISTEN: listen, ATOLL_INSECURE_NO_AUTH: "false" })).toThrow(
        "without API keys",
      );
      const open = readEnvironment({ ATOLL_LISTEN: listen, ATOLL_INSECURE_NO_AUTH: "true" });
      expect(gatewayConfigOf(open).allowedHosts).toEqual(["*"]);
      expect(readEnvironment({ ATOLL_LISTEN: listen, ATOLL_API_KEYS_FILE: "/keys" }).ATOLL_API_KEYS_FILE).toBe("/keys");
      expect(readEnvironment({ ATOLL_LISTEN: listen, ATOLL_API_KEY_HASHES: HASH }).ATOLL_API_KEY_HASHES).toEqual([
        HASH,
      ]);
    },
  );

  it.each(["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1"])("takes %s as loopback", (listen) => {
    expect(
      gatewayConfigOf(readEnvironment({ ATOLL_LISTEN: listen, ATOLL_INSECURE_NO_AUTH: "true" })).allowedHosts,
    ).toEqual([]);
  });

  it("takes the namespace of the sandboxes under either name, and not two of them", () => {
    const [one, two] = ["ATOLL_SANDBOX_NAMESPACE", "ISOLA_SANDBOX_NAMESPACE"];
    const read = (source: Record<string, string>) => readEnvironment(source).ATOLL_SANDBOX_NAMESPACE;
    expect([read({}), read({ [one]: "a" }), read({ [two]: "b" }), read({ [one]: "", [two]: "b" })]).toEqual([
      "isola-sandboxes",
      "a",
      "b",
      "b",
    ]);
    expect(read({ [one]: "a", [two]: "a" })).toBe("a");
    expect(() => read({ [one]: "a", [two]: "b" })).toThrow("set one of them");
    expect(() => read({ [two]: "No" })).toThrow("ISOLA_SANDBOX_NAMESPACE: Expected the name of a namespace");
  });

  it("splits lists by commas and white space", () => {
    const env = readEnvironment({
      ATOLL_API_KEY_HASHES: `${HASH},\n${"B".repeat(64)} `,
      ATOLL_ALLOWED_HOSTS: "a.example b.example",
    });
    expect(env.ATOLL_API_KEY_HASHES).toHaveLength(2);
    expect(env.ATOLL_ALLOWED_HOSTS).toEqual(["a.example", "b.example"]);
  });
});
