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

/** Installs the platform before a suite's tests, gVisor on the node included. */
export async function setup(project: TestProject): Promise<void> {
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
