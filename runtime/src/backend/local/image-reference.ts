import { ProblemError } from "#core/problem-error.ts";

/** A fully spelled image reference. */
export interface ImageReference {
  /** Host with optional port, e.g. `docker.io`. */
  readonly registry: string;
  /** Path in the registry, e.g. `library/python`. */
  readonly repository: string;
  /** Absent only when a digest is given without a tag. */
  readonly tag?: string;
  /** `sha256:` and 64 hex digits; it decides when a tag is given too. */
  readonly digest?: string;
}

/** Full name of the image that the set-up builds; it is never asked of a registry, whatever its tag. */
export const BASE_IMAGE = "docker.io/atoll/debian";

const MAX_REFERENCE_CHARS = 1024;
const MAX_NAME_CHARS = 255;
const DEFAULT_REGISTRY = "docker.io";
const HOST =
  /^(?:\[[0-9a-fA-F:]{2,39}\]|[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(?::[0-9]{1,5})?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/**
 * Reads a reference as Docker does: the registry defaults to `docker.io`, its one-word
 * repositories lie under `library/`, the tag defaults to `latest`. Throws `bad-request`.
 */
export function parseImageReference(text: string): ImageReference {
  const bad = (why: string): ProblemError =>
    new ProblemError("bad-request", `Image reference ${JSON.stringify(text.slice(0, 200))} is not valid: ${why}.`);
  if (text.length === 0) throw bad("it is empty");
  if (text.length > MAX_REFERENCE_CHARS) throw bad(`it is longer than ${MAX_REFERENCE_CHARS} characters`);
  const at = text.indexOf("@");
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !DIGEST.test(digest)) throw bad("a digest is sha256: and 64 lower-case hex digits");
  const { name, tag } = splitTag(at < 0 ? text : text.slice(0, at));
  if (tag !== undefined && !TAG.test(tag)) throw bad("the tag has a character that tags may not have, or is too long");
  const { registry, repository } = splitRegistry(name);
  if (!HOST.test(registry)) throw bad("the registry is not a host name with an optional port");
  if (!repository.split("/").every((part) => COMPONENT.test(part))) {
    throw bad("a repository is lower-case letters and digits, joined by / . _ or -");
  }
  if (registry.length + repository.length >= MAX_NAME_CHARS)
    throw bad(`its name is longer than ${MAX_NAME_CHARS} characters`);
  const defaultTag = digest === undefined ? "latest" : undefined;
  return { registry, repository, ...optional("tag", tag ?? defaultTag), ...optional("digest", digest) };
}

/** The full spelling; two references to the same thing have the same one. A digest leaves the tag out. */
export function formatImageReference(reference: ImageReference): string {
  const name = `${reference.registry}/${reference.repository}`;
  return reference.digest === undefined ? `${name}:${reference.tag ?? "latest"}` : `${name}@${reference.digest}`;
}

export function isBaseImage(reference: ImageReference): boolean {
  return `${reference.registry}/${reference.repository}` === BASE_IMAGE;
}

function splitTag(text: string): { name: string; tag?: string } {
  const colon = text.lastIndexOf(":");
  if (colon < 0 || colon < text.lastIndexOf("/")) return { name: text };
  return { name: text.slice(0, colon), tag: text.slice(colon + 1) };
}

function splitRegistry(name: string): { registry: string; repository: string } {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  if (slash < 0 || !(/[.:[]/.test(first) || first === "localhost")) {
    return { registry: DEFAULT_REGISTRY, repository: name.includes("/") ? name : `library/${name}` };
  }
  const rest = name.slice(slash + 1);
  const registry = first === "index.docker.io" ? DEFAULT_REGISTRY : first.toLowerCase();
  const repository = registry === DEFAULT_REGISTRY && !rest.includes("/") ? `library/${rest}` : rest;
  return { registry, repository };
}

function optional<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: string };
}
