import type { TestProject } from "vitest/node";
import type { Installation } from "../cluster/install.ts";
import { startPlatform } from "./platform.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Of the platform that is installed on the testbed while the suite runs. */
    readonly gatewayUrl: string;
    readonly imageTag: string;
  }
}

let installation: Installation | undefined;

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
  const platform = await startPlatform({
    operator: { replicas: 2 },
    gateway: { replicas: 2 },
  });
  ({ installation } = platform);
  project.provide("gatewayUrl", platform.url);
  project.provide("imageTag", platform.imageTag);
}

/** Removes it after them. */
export async function teardown(): Promise<void> {
  await installation?.uninstall();
}
