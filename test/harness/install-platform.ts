import type { TestProject } from "vitest/node";
import { startPlatform } from "./platform.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Of the platform that is installed on the testbed while the suite runs. */
    readonly gatewayUrl: string;
    readonly imageTag: string;
  }
}

/** Installs the platform before a suite's tests, gVisor on the node included, and removes it after them. */
export default async function installPlatform(project: TestProject): Promise<() => Promise<void>> {
  const { url, imageTag, installation } = await startPlatform({
    operator: { replicas: 2 },
    gateway: { replicas: 2, auth: { insecureNoAuth: true } },
  });
  project.provide("gatewayUrl", url);
  project.provide("imageTag", imageTag);
  return () => installation.uninstall();
}
