import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import { readInstallConfig } from "#infra/config.ts";
import { createInstallation } from "#infra/installation.ts";
import { registrationOf, urnOf } from "../../test/cluster/pulumi/monitor.ts";
import type { Registration } from "../../test/cluster/pulumi/registration.ts";

const STACK_TYPE = "pulumi:pulumi:Stack";
const STACK_URN = `urn:pulumi:test::atoll::${STACK_TYPE}::atoll-test`;

type Settings = Readonly<Record<string, unknown>>;

/** An API key for tests that need one. */
export const API_KEY = "an-api-key-of-the-tests";

/** What the program registers for these settings, under Pulumi's mocks; each resource's state is its inputs. */
export async function registrationsOf(settings: Settings = {}): Promise<readonly Registration[]> {
  await pulumi.runtime.setMocks(
    { newResource: ({ name, inputs }) => ({ id: name, state: inputs }), call: () => ({}) },
    "atoll",
    "test",
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as MockMonitor;
  // The mocks' own names leave out the parents of parents, and what depends on what is told by name.
  monitor.newUrn = (parent, type, name) => (type === STACK_TYPE ? STACK_URN : urnOf(parent || STACK_URN, type, name));
  const register = monitor.registerResource.bind(monitor);
  const found: Registration[] = [];
  monitor.registerResource = (request, answer) => {
    found.push(registrationOf(STACK_URN, request));
    return register(request, answer);
  };
  createInstallation(readInstallConfig(stackSettings(settings), "1.2.3"), {});
  await pulumi.runtime.disconnect();
  return found;
}

interface MockMonitor {
  newUrn: (parent: string, type: string, name: string) => string;
  registerResource: (request: RegisterResourceRequest, answer: unknown) => Promise<void>;
}

/** Structures as a stack keeps them: as JSON. An API key is there unless the settings say otherwise. */
export function stackSettings(settings: Settings): Record<string, string> {
  const all = { apiKeys: [API_KEY], ...settings };
  return Object.fromEntries(
    Object.entries(all).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  );
}
