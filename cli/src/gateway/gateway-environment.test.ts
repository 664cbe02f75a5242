import { describe, expect, test } from "vitest";
import { GatewayEnvironment } from "#runtime/manifest.ts";
import { gatewayEnvironment } from "./gateway-environment.ts";

const HASH = "a".repeat(64);
const plain = { home: "/h", insecure: false };

describe("gatewayEnvironment()", () => {
  test.each([
    [{}, plain, "127.0.0.1:8080"],
    [{ ATOLL_LISTEN: "127.0.0.2:9000" }, plain, "127.0.0.2:9000"],
    [{ ATOLL_LISTEN: "127.0.0.2:9000" }, { ...plain, port: 1 }, "127.0.0.2:1"],
    [{ ATOLL_LISTEN: "127.0.0.2:9000" }, { ...plain, listen: "::1" }, "[::1]:9000"],
    [{}, { ...plain, listen: "0.0.0.0", insecure: true }, "0.0.0.0:8080"],
    [{ ATOLL_API_KEY_HASHES: HASH }, { ...plain, listen: "0.0.0.0" }, "0.0.0.0:8080"],
  ])("of %o and %o listens on %s", (base, options, listen) => {
    expect(gatewayEnvironment(base, options).env).toMatchObject({
      ATOLL_LISTEN: listen,
      ATOLL_HOME: "/h",
      ATOLL_BACKEND: "local",
    });
  });

  test("passes on what it does not decide", () => {
    expect(gatewayEnvironment({ ATOLL_POOL_SIZE: "5", PATH: "/bin" }, plain).env).toMatchObject({
      ATOLL_POOL_SIZE: "5",
      PATH: "/bin",
    });
  });

  test("sets only what the gateway reads", () => {
    const every = { home: "/h", listen: "0.0.0.0", port: 1, insecure: true, keyHash: "b".repeat(64) };
    const { env } = gatewayEnvironment({ ATOLL_API_KEY_HASHES: HASH }, every);
    expect(Object.keys(GatewayEnvironment.shape)).toEqual(expect.arrayContaining(Object.keys(env)));
  });

  test("adds its own key only where keys are asked for", () => {
    const own = "b".repeat(64);
    expect(gatewayEnvironment({}, { ...plain, keyHash: own }).env).not.toHaveProperty("ATOLL_API_KEY_HASHES");
    const { env } = gatewayEnvironment({ ATOLL_API_KEY_HASHES: HASH }, { ...plain, keyHash: own });
    expect(env["ATOLL_API_KEY_HASHES"]).toBe(`${HASH},${own}`);
  });

  test.each([
    [{}, { ...plain, listen: "0.0.0.0" }, "cannot listen on 0.0.0.0 without API keys"],
    [{ ATOLL_POOL_SIZE: "many" }, plain, "cannot use the environment: ATOLL_POOL_SIZE"],
    [{ ATOLL_LISTEN: "nowhere" }, plain, "cannot use the environment: ATOLL_LISTEN"],
    [
      { ATOLL_SNAPSHOT_STORE: "s3://bucket?colour=red" },
      plain,
      'cannot use the environment: ATOLL_SNAPSHOT_STORE: Cannot use the store\'s URL: s3:// knows no setting "colour"',
    ],
  ])("of %o and %o is refused in one sentence", (base, options, message) => {
    expect(() => gatewayEnvironment(base, options)).toThrow(message);
  });
});
