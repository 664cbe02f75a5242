import { REGISTRY } from "./layout.ts";
import { VERSIONS } from "./versions.ts";

/** Repositories and tags of what the local registry holds from the start. */
export const PAUSE = `pause:${VERSIONS.pause}`;
export const COREDNS = `coredns:${VERSIONS.coredns}`;
export const DEBIAN = "debian:1";

/**
 * Names of well-known images that mean the Debian base image here, where no registry of the world can
 * be reached: a quick start that names them works. They have Python and a shell, and nothing else of
 * the images they stand in for.
 */
export const STAND_INS: readonly string[] = [
  "atoll/debian:latest",
  "library/debian:latest",
  "library/debian:stable-slim",
  "library/debian:bookworm-slim",
  "library/python:latest",
  "library/python:3.12-slim",
  "library/python:3.13-slim",
  "library/alpine:latest",
  "library/alpine:3.21",
];

/** The image of each pod's own container. */
export const PAUSE_IMAGE = `${REGISTRY}/${PAUSE}`;
export const COREDNS_IMAGE = `${REGISTRY}/${COREDNS}`;
/** Debian with a shell and Python. */
export const DEBIAN_IMAGE = `${REGISTRY}/${DEBIAN}`;
