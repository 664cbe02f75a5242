import * as z from "zod";
import {
  LABEL_PATTERN,
  LABEL_WORDS,
  MAX_SANDBOX_NAME,
  MAX_SNAPSHOT_NAME,
  SUBDOMAIN_PATTERN,
  SUBDOMAIN_WORDS,
  UUID_PATTERN,
} from "./name-patterns.ts";

export const ContainerName = z.string().min(1).max(63).regex(LABEL_PATTERN, LABEL_WORDS);
/** Name of a sandbox. */
export const SandboxId = z.string().min(1).max(MAX_SANDBOX_NAME).regex(SUBDOMAIN_PATTERN, SUBDOMAIN_WORDS);
export const SnapshotName = z.string().min(1).max(MAX_SNAPSHOT_NAME).regex(SUBDOMAIN_PATTERN, SUBDOMAIN_WORDS);
export const CommandId = z.string().regex(UUID_PATTERN, "Expected a UUID in lower case");

/** Whole seconds, at least one; the bound keeps a deadline representable as a date. */
export const PositiveSeconds = z.int().min(1).max(315_360_000);
/** RFC 3339 date and time in UTC with whole seconds, for example `2026-11-02T10:00:00Z`. */
export const Timestamp = z.iso.datetime({ precision: 0 });

/**
 * A Kubernetes quantity such as `500m`, `256Mi` or `1Gi`. Only the length is a schema
 * fault (422); a malformed quantity is a 400 that names container and field.
 */
export const Quantity = z.string().max(64);

export type SandboxId = z.infer<typeof SandboxId>;
export type ContainerName = z.infer<typeof ContainerName>;
export type CommandId = z.infer<typeof CommandId>;
