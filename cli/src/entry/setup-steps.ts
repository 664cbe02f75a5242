import { RUNSC_RELEASES_URL } from "../setup/runsc-release.ts";
import { agentImageStep } from "../setup/node/agent-image.ts";
import { baseImageStep } from "../setup/node/base-image.ts";
import { runscStep } from "../setup/node/runsc.ts";
import { systemPackagesStep } from "../setup/node/system-packages.ts";
import type { SetupStep } from "../setup/step.ts";
import { buildAgent } from "../node/build-agent.ts";

/** What a machine needs before sandboxes run, in order. */
export function setupSteps({ repo, searchPath }: { repo: string; searchPath: string }): readonly SetupStep[] {
  return [
    systemPackagesStep({ searchPath }),
    runscStep({ releasesUrl: RUNSC_RELEASES_URL, searchPath }),
    baseImageStep,
    agentImageStep({ buildAgent: (outDir) => buildAgent(repo, outDir) }),
  ];
}
