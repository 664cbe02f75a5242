import { INSTALLER_EVENT_NAMESPACE } from "./manifest.ts";
import type { NodeReport } from "./ports.ts";
import type { Clock } from "#core/clock.ts";
import type { KubeCall, KubeClient } from "#core/kubernetes/client.ts";
import { GVISOR_NODE_LABEL } from "#core/kubernetes/names.ts";
import { EVENTS, NODES } from "#core/kubernetes/resources.ts";

/** What the annotations of a node say: the release that works, or why none does. */
export const GVISOR_NODE_ANNOTATION = {
  release: "atoll.run/gvisor-release",
  fault: "atoll.run/gvisor-fault",
} as const;

const CONTROLLER = "atoll.run/installer";
const LONGEST_NOTE = 1024;

/** Labels the node where gVisor works, and says on the node and in an Event why it does not. */
export function createNodeReport(
  client: KubeClient,
  options: { readonly nodeName: string; readonly clock: Clock; readonly newId: () => string },
): NodeReport {
  const { nodeName } = options;
  let told: string | undefined;

  const patchNode = async (
    works: boolean,
    release: string | null,
    fault: string | null,
    call: KubeCall,
  ): Promise<void> => {
    const labels = { [GVISOR_NODE_LABEL]: works ? "true" : null };
    const annotations = { [GVISOR_NODE_ANNOTATION.release]: release, [GVISOR_NODE_ANNOTATION.fault]: fault };
    const wanted = JSON.stringify([labels, annotations]);
    if (wanted === told && !works) return;
    await client.patch(NODES, { name: nodeName }, { metadata: { labels, annotations } }, call);
    told = wanted;
  };

  const tellEvent = (type: "Normal" | "Warning", reason: string, note: string, call: KubeCall): Promise<unknown> =>
    client.create(
      EVENTS,
      {
        metadata: { name: `${nodeName}.${options.newId()}`, namespace: INSTALLER_EVENT_NAMESPACE },
        eventTime: new Date(options.clock.now()).toISOString().replace("Z", "000Z"),
        type,
        reason,
        action: "InstallGvisor",
        note: note.slice(0, LONGEST_NOTE),
        regarding: { apiVersion: "v1", kind: "Node", name: nodeName },
        reportingController: CONTROLLER,
        reportingInstance: nodeName,
      },
      call,
    );

  return {
    async works(release, call) {
      const isNews = told === undefined || !told.includes('"true"');
      // Written each time: whoever took the label away is overruled.
      await patchNode(true, release, null, call);
      if (isNews) await tellEvent("Normal", "GvisorReady", `gVisor ${release} works on this node.`, call);
    },
    async fails(reason, call) {
      const before = told;
      await patchNode(false, null, reason, call);
      if (told !== before) await tellEvent("Warning", "GvisorNotReady", reason, call);
    },
    async removed(call) {
      await patchNode(false, null, null, call);
    },
  };
}
