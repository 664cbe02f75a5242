import type { TestProject } from "vitest/node";
import { startPlatform, type Platform } from "./platform.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Of the platform that is installed on the testbed while the suite runs. */
    readonly gatewayUrl: string;
    readonly imageTag: string;
  }
}

let platform: Platform | undefined;

/**
 * Installs the platform before a suite's tests, gVisor on the node included. A cluster that KUBECONFIG
 * names is somebody's own, with gVisor there: only tests that need no installation pass on it.
 */
export async function setup(project: TestProject): Promise<void> {
  if (process.env["KUBECONFIG"] !== undefined) {
    project.provide("gatewayUrl", "http://no-gateway.invalid");
    project.provide("imageTag", process.env["ATOLL_TEST_IMAGE_TAG"] ?? "dev");
    return;
  }
  platform = await startPlatform({
    operator: { replicas: 2 },
    gateway: { replicas: 2 },
  });
  project.provide("gatewayUrl", platform.url);
  project.provide("imageTag", platform.imageTag);
}

/** Removes it after them. */
export async function teardown(): Promise<void> {
  await platform?.dispose();
}
