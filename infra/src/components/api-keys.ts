import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { InstallConfig } from "../config.ts";
import { objectLabels } from "../pods.ts";

/** Name of the Secret that is made from the stack's own keys, and of its only member. */
const API_KEYS_SECRET = "atoll-api-keys";
const API_KEYS_MEMBER = "api-keys";

export interface ApiKeysArgs {
  readonly config: InstallConfig;
}

/** Where the gateway finds its API keys: a Secret that exists, or one made from the stack's settings. */
export class ApiKeys extends pulumi.ComponentResource {
  readonly secret: string;
  readonly member: string;

  constructor(name: string, { config }: ApiKeysArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:ApiKeys", name, {}, options);
    const { auth } = config.gateway;
    const isOurs = auth.existingSecret === "";
    this.secret = isOurs ? API_KEYS_SECRET : auth.existingSecret;
    this.member = isOurs ? API_KEYS_MEMBER : auth.existingSecretKey;
    if (isOurs && config.apiKeys.length > 0) {
      new k8s.core.v1.Secret(
        API_KEYS_SECRET,
        {
          metadata: { namespace: config.systemNamespace.name, name: API_KEYS_SECRET, labels: objectLabels("atoll") },
          type: "Opaque",
          data: pulumi.secret({ [API_KEYS_MEMBER]: base64(`${config.apiKeys.join("\n")}\n`) }),
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}

function base64(text: string): string {
  return btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
}
