import { describe, expect, test } from "vitest";
import { renderTestbedEvent, renderTestbedStatus } from "./events.ts";

describe("renderTestbedStatus()", () => {
  test("lists the components that the supervisor names", () => {
    const components = [
      { name: "etcd", state: "running", pid: 7, restarts: 12, healthy: true },
      { name: "kubelet", state: "restarting", restarts: 0, healthy: false },
    ] as const;
    const text = renderTestbedStatus({
      up: true,
      root: "/r",
      startedAt: "2026-01-02T03:04:05.000Z",
      apiServer: "https://a",
      kubeconfig: "/r/k",
      registry: "r:1",
      logs: "/r/log",
      components,
      diskBytes: 1024,
    });
    expect(text).toBe(`The testbed is up.
API server  https://a
kubeconfig  /r/k
registry    r:1
logs        /r/log
since       2026-01-02T03:04:05.000Z
disk        1.0 KiB in /r

component  state       healthy  restarts
etcd       running     yes            12
kubelet    restarting  no              0`);
  });

  test("says that a supervisor does not answer, and that nothing is up", () => {
    expect(renderTestbedStatus({ up: true, root: "/r" })).toMatch(/Its supervisor does not answer\.$/);
    expect(renderTestbedStatus({ up: false, root: "/r", diskBytes: 2048 })).toBe(
      "The testbed is not up.\ndisk        2.0 KiB in /r",
    );
  });
});

describe("renderTestbedEvent()", () => {
  test("tells how to use what is up", () => {
    const event = {
      event: "usage",
      bin: "/r/bin",
      kubeconfig: "/r/k",
      registry: "10.0.0.1:5000",
      elapsedMs: 8_700,
    } as const;
    const text = renderTestbedEvent(event);
    expect(text).toContain("up, after 8.7 s");
    expect(text).toContain("export KUBECONFIG=/r/k PATH=/r/bin:$PATH");
    expect(text).toContain("Images pushed to 10.0.0.1:5000");
  });
});
