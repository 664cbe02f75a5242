import { expect, it } from "vitest";
import { imageDigestOf } from "./image-id.ts";

const digest = `sha256:${"0f".repeat(32)}`;

it.each([
  [`docker.io/library/debian@${digest}`, digest],
  [`docker-pullable://registry:5000/a/b@${digest}`, digest],
  [digest, digest],
  [`docker://${digest}`, digest],
  [`registry/${digest}`, undefined],
  [`x@sha256:${"0f".repeat(31)}`, undefined],
  ["", undefined],
  [undefined, undefined],
])("imageDigestOf(%j) = %j", (imageId, expected) => expect(imageDigestOf(imageId)).toBe(expected));
