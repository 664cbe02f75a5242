import fc from "fast-check";
import { expect, test } from "vitest";
import { parsePodSandboxId, parseStatus, podSandboxRequest, runPodSandboxRequest } from "./cri-message.ts";
import { decodeMessage, encodeMessage } from "./protobuf.ts";

const condition = (type: string, status: number): Uint8Array =>
  encodeMessage([
    [1, type],
    [2, status],
    [3, ""],
  ]);

test("parseStatus reads the network's condition and the loaded runtimes", () => {
  const config = { containerd: { runtimes: { runc: {}, runsc: { runtimePath: "/x" } } } };
  const answer = encodeMessage([
    [
      1,
      encodeMessage([
        [1, condition("RuntimeReady", 0)],
        [1, condition("NetworkReady", 1)],
      ]),
    ],
    [
      2,
      encodeMessage([
        [1, "golang"],
        [2, "go1.26"],
      ]),
    ],
    [
      2,
      encodeMessage([
        [1, "config"],
        [2, JSON.stringify(config)],
      ]),
    ],
  ]);
  expect(parseStatus(answer)).toEqual({ isNetworkReady: true, runtimes: config.containerd.runtimes });
  expect(parseStatus(new Uint8Array())).toEqual({ isNetworkReady: false, runtimes: {} });
});

test("runPodSandboxRequest puts the pod in a control group of the driver's kind", () => {
  const parent = (cgroupDriver: "systemd" | "cgroupfs"): unknown => {
    const request = new Map(decodeMessage(runPodSandboxRequest({ handler: "runsc", id: "u", cgroupDriver })));
    const config = new Map(decodeMessage(bytesOf(request.get(1))));
    return new TextDecoder().decode(bytesOf(new Map(decodeMessage(bytesOf(config.get(8)))).get(1)));
  };
  expect([parent("systemd"), parent("cgroupfs")]).toEqual(["/system.slice", "/"]);
});

function bytesOf(value: number | Uint8Array | undefined): Uint8Array {
  if (typeof value !== "object") throw new Error("Expected bytes");
  return value;
}

test("parsePodSandboxId reads what podSandboxRequest writes", () => {
  expect(parsePodSandboxId(podSandboxRequest("abc"))).toBe("abc");
});

test("decodeMessage gives what encodeMessage was given, and throws for any cut", () => {
  const field = fc.tuple(
    fc.integer({ min: 1, max: 5000 }),
    fc.oneof(fc.maxSafeNat(), fc.uint8Array({ maxLength: 300 })),
  );
  fc.assert(
    fc.property(fc.array(field, { minLength: 1, maxLength: 6 }), (fields) => {
      const bytes = encodeMessage(fields);
      expect(decodeMessage(bytes)).toEqual(fields);
      const last = encodeMessage(fields.slice(-1));
      for (let cut = 1; cut < last.length; cut += 1)
        expect(() => decodeMessage(bytes.subarray(0, bytes.length - cut))).toThrow(RangeError);
    }),
  );
});
