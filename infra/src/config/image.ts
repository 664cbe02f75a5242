import * as z from "zod";
import { Text } from "./fields.ts";

/** Where an image comes from. */
export function image(repository: string) {
  return z
    .strictObject({
      registry: z.string().default("").describe("Registry and path; empty = `imageRegistry`"),
      repository: z.string().min(1).default(repository).describe("Name of the image"),
      tag: Text.default("").describe("Tag; empty = `imageTag`"),
      digest: z
        .string()
        .regex(/^(sha256:[0-9a-f]{64})?$/, "Expected sha256: and 64 hex digits")
        .default("")
        .describe("Digest; wins over the tag"),
      pullPolicy: z.enum(["IfNotPresent", "Always", "Never"]).default("IfNotPresent").describe("When nodes pull it"),
    })
    .prefault({});
}

export type ImageConfig = z.output<ReturnType<typeof image>>;

/** What images have in common unless they say otherwise. */
export interface ImageDefaults {
  readonly imageRegistry: string;
  readonly imageTag: string;
}

/** The reference a node pulls. */
export function imageReference(image: ImageConfig, defaults: ImageDefaults): string {
  const name = imageRepository(image, defaults);
  if (image.digest !== "") return `${name}@${image.digest}`;
  return `${name}:${image.tag === "" ? defaults.imageTag : image.tag}`;
}

/** The same without tag and digest. Without any registry the bare name stands: images that were loaded onto the nodes. */
export function imageRepository(image: ImageConfig, { imageRegistry }: ImageDefaults): string {
  const registry = (image.registry === "" ? imageRegistry : image.registry).replace(/\/+$/, "");
  return registry === "" ? image.repository : `${registry}/${image.repository}`;
}
