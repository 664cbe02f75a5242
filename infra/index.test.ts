import { describe, expect, it } from "vitest";
import type { Registration } from "../test/cluster/pulumi/registration.ts";
import { runProgram } from "../test/cluster/pulumi/run-program.ts";
import { API_KEY, registrationsOf } from "./test/registrations.ts";

/** Runs the program as `pulumi up` and `pulumi preview` do. */
async function run(settings: Record<string, unknown>, isPreview = false) {
  const registered: Registration[] = [];
  const options = { settings, isPreview, secretKeys: ["apiKeys"], signal: AbortSignal.timeout(60_000) };
  const result = await runProgram(options, async (registration) => {
    registered.push(registration);
    return registration.inputs;
  });
  return { ...result, registered };
}

function identities(registrations: readonly Registration[]): string[] {
  return registrations
    .filter(({ type }) => type !== "pulumi:pulumi:Stack")
    .map(({ urn, inputs }) => `${urn} ${JSON.stringify(inputs).replaceAll(/:\d+\.\d+\.\d+"/g, ':1.2.3"')}`)
    .toSorted();
}

describe("infra/index.ts in Pulumi's host, on Node itself", { timeout: 60_000 }, () => {
  it("registers the installation, in a preview as well", async () => {
    const expected = identities(await registrationsOf());
    for (const isPreview of [false, true]) {
      const { exitCode, messages, registered } = await run({ apiKeys: [API_KEY] }, isPreview);
      expect({ exitCode, messages }).toEqual({ exitCode: 0, messages: [] });
      expect(identities(registered)).toEqual(expected);
    }
  });

  it("reaches the cluster that the stack's own settings name, and knows it when its address changes", async () => {
    const access = { kubeconfig: "{}", context: "one", clusterIdentifier: "production" };
    const settings = Object.entries(access).map(([key, value]) => [`kubernetes:${key}`, value] as const);
    const { registered } = await run({ apiKeys: [API_KEY], ...Object.fromEntries(settings) });
    const providers = registered.filter(({ type }) => type === "pulumi:providers:kubernetes");
    expect(providers).toHaveLength(2);
    for (const { inputs, secrets } of providers) {
      expect(inputs).toMatchObject(access);
      expect(secrets).toEqual(["kubeconfig"]);
    }
  });

  it("says in one message what is wrong with a stack, and makes nothing", async () => {
    const { exitCode, messages, registered } = await run({ operator: { replicas: 0 }, gatway: {} });
    expect(exitCode).not.toBe(0);
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(/^Cannot use the configuration of this stack: .*operator\.replicas.*gatway[^\n]*$/);
    expect(registered.map(({ type }) => type)).toEqual(["pulumi:pulumi:Stack"]);
  });
});
