import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { InstallConfig } from "../config.ts";
import { objectLabels } from "../pods.ts";

/** Name of the Secret that is made from the stack's own credentials. */
const CREDENTIALS_SECRET = "atoll-snapshot-credentials";

export interface SnapshotStoreArgs {
  readonly config: InstallConfig;
}

/**
 * Where the mounters find the store's credentials: a Secret that exists, one made from the stack's
 * settings, or none where their own identity is enough. The bucket exists: what may be done with it, says `store-access.ts`.
 */
export class SnapshotStore extends pulumi.ComponentResource {
  /** Undefined = the pods' own identity. */
  readonly secret: string | undefined;

  constructor(name: string, { config }: SnapshotStoreArgs, options: pulumi.ComponentResourceOptions) {
    super("atoll:kubernetes:SnapshotStore", name, {}, options);
    const { existingSecret } = config.snapshots.store;
    const values = Object.entries(config.snapshotCredentials);
    const isOurs = existingSecret === "" && values.length > 0;
    this.secret = isOurs ? CREDENTIALS_SECRET : existingSecret || undefined;
    if (isOurs) {
      const metadata = {
        namespace: config.systemNamespace.name,
        name: CREDENTIALS_SECRET,
        labels: objectLabels("atoll"),
      };
      new k8s.core.v1.Secret(
        CREDENTIALS_SECRET,
        {
          metadata,
          type: "Opaque",
          data: pulumi.secret(Object.fromEntries(values.map(([member, value]) => [member, base64(value)]))),
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
