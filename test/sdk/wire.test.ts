import { expect, expectTypeOf, test } from "vitest";
import type { z } from "zod";
import { FRAME_MEDIA_TYPE } from "#api/agent.ts";
import type { CreateCommandRequest } from "#api/command.ts";
import { PROBLEMS, type ProblemFault, type ProblemSlug } from "#api/problem.ts";
import { CreateSandboxRequest, type SandboxResponse, type SandboxSummary } from "#api/sandbox.ts";
import type { CreateRootfsSnapshotRequest, RootfsSnapshotList, RootfsSnapshotResponse } from "#api/snapshot.ts";
import { RUN_FRAME_KIND } from "#api/agent-run.ts";
import { encodeEndFrame, encodeFrameHeader, encodeLostFrame, IDLE_FRAME } from "#core/frames.ts";
import { encodeExitedFrame } from "#core/run-frames.ts";
import { createSandboxBody, type SandboxSpec } from "../../sdk/src/create-options.ts";
import { ApiError, errorForRefusal } from "../../sdk/src/errors.ts";
import { FRAMES_MEDIA_TYPE } from "../../sdk/src/frame-splitter.ts";
import { createFrameDecoder } from "../../sdk/src/frames.ts";
import { createRunDecoder } from "../../sdk/src/run-frames.ts";
import type * as wire from "../../sdk/src/wire.ts";

/** All members, whatever is optional or read-only, so that one that is missing on either side shows. */
type Full<T> = T extends readonly (infer Item)[]
  ? Full<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]-?: Full<NonNullable<T[Key]>> }
    : T;

/** The client sends no `$schema`. */
type Sent<T> = Omit<T, "$schema">;

test("wire: each document has the members of the server's schema, and values of either type fit the other", () => {
  type Create = Sent<z.input<typeof CreateSandboxRequest>>;
  expectTypeOf<Full<wire.CreateSandboxBody>>().toEqualTypeOf<Full<Create>>();
  expectTypeOf<wire.CreateSandboxBody>().toExtend<Create>();
  expectTypeOf<Create>().toExtend<wire.CreateSandboxBody>();

  expectTypeOf<Full<wire.SandboxDocument>>().toEqualTypeOf<Full<SandboxResponse>>();
  expectTypeOf<SandboxResponse>().toExtend<wire.SandboxDocument>();
  expectTypeOf<wire.SandboxDocument>().toExtend<SandboxResponse>();

  type CreateSnapshot = Sent<z.input<typeof CreateRootfsSnapshotRequest>>;
  expectTypeOf<Full<wire.CreateSnapshotBody>>().toEqualTypeOf<Full<CreateSnapshot>>();
  expectTypeOf<wire.CreateSnapshotBody>().toExtend<CreateSnapshot>();
  expectTypeOf<Full<wire.SnapshotDocument>>().toEqualTypeOf<Full<RootfsSnapshotResponse>>();
  expectTypeOf<RootfsSnapshotResponse>().toExtend<wire.SnapshotDocument>();
  expectTypeOf<RootfsSnapshotList>().toExtend<wire.SnapshotListDocument>();

  expectTypeOf<wire.SandboxSummaryDocument>().toEqualTypeOf<SandboxSummary>();
  expectTypeOf<Full<wire.CreateCommandBody>>().toEqualTypeOf<Full<Sent<CreateCommandRequest>>>();
  expectTypeOf<wire.CreateCommandBody>().toExtend<Sent<CreateCommandRequest>>();
  expectTypeOf<Full<wire.ProblemFault>>().toEqualTypeOf<Full<ProblemFault>>();
  expectTypeOf<wire.ProblemSlug>().toEqualTypeOf<ProblemSlug>();
});

test("createSandboxBody: the fullest options are accepted by the server's schema, unchanged", () => {
  const container = {
    image: "debian",
    command: ["sleep", "1"],
    env: { A: "b" },
    cpu: 0.25,
    memory: 0.5,
    ephemeralStorage: 1024,
    rootfsSnapshotName: "base",
    rootfsSnapshotAllowOtherBase: true,
  };
  const settings = {
    timeoutSeconds: 60,
    startupTimeoutSeconds: 30,
    network: {
      allowInternetEgress: true,
      allowClusterDNS: true,
      allowIPv6Egress: true,
      allowedEgressCIDRs: ["104.16.0.0/12"],
      nameservers: ["1.1.1.1"],
      egressRateLimitBytesPerSecond: 1_000_000,
    },
    terminationPolicy: { snapshotName: "last", timeoutSeconds: 5 },
  };
  const specs: SandboxSpec[] = [
    { ...container, ...settings },
    {
      ...settings,
      containers: [
        { name: "a", ...container },
        { name: "b", image: "alpine" },
      ],
    },
  ];
  for (const spec of specs) {
    const body = createSandboxBody(spec);
    expect(CreateSandboxRequest.parse(JSON.parse(JSON.stringify(body)))).toEqual(body);
  }
});

test("errorForRefusal: every problem of the server has a class of its own", () => {
  for (const [slug, { status }] of Object.entries(PROBLEMS)) {
    const error = errorForRefusal("A sentence.", { status, slug, method: "GET", path: "/" });
    expect(error.constructor, slug).not.toBe(ApiError);
    expect(error.name).toBe(error.constructor.name);
  }
});

test("createFrameDecoder: reads what the server's encoder writes", () => {
  expect(FRAMES_MEDIA_TYPE).toBe(FRAME_MEDIA_TYPE);
  const decode = (...pieces: Uint8Array<ArrayBuffer>[]): unknown[] => {
    const decoder = createFrameDecoder();
    return pieces.flatMap((piece) => [...decoder.push(piece)]);
  };
  const bytes = Uint8Array.of(1, 2, 3);
  const idle = Uint8Array.from(IDLE_FRAME);
  expect(decode(encodeFrameHeader(1, 3), bytes, idle, encodeEndFrame(3))).toEqual([
    { kind: "data", bytes },
    { kind: "idle" },
    { kind: "end", totalBytes: 3 },
  ]);
  expect(decode(encodeLostFrame("gone"))).toEqual([{ kind: "lost", reason: "gone" }]);
});

test("createRunDecoder: reads what the server's encoder writes", () => {
  const decode = (...pieces: Uint8Array<ArrayBuffer>[]): unknown[] => {
    const decoder = createRunDecoder();
    return pieces.flatMap((piece) => [...decoder(piece)]);
  };
  const bytes = Uint8Array.of(1, 2, 3);
  const end = { exitCode: -1, stdoutBytes: 3, stderrBytes: 2 ** 40 };
  expect(
    decode(
      encodeFrameHeader(RUN_FRAME_KIND.stdout, 3),
      bytes,
      Uint8Array.from(IDLE_FRAME),
      encodeFrameHeader(RUN_FRAME_KIND.stderr, 3),
      bytes,
      encodeExitedFrame(end),
    ),
  ).toEqual([{ kind: "stdout", bytes }, { kind: "idle" }, { kind: "stderr", bytes }, { kind: "exited", ...end }]);
  expect(decode(encodeLostFrame("gone"))).toEqual([{ kind: "lost", reason: "gone" }]);
  expect(() => decode(encodeEndFrame(3))).toThrow("malformed frame (kind 3");
});
