import { parseStoreUrl, type StoreLocation } from "#mounter/manifest.ts";
import type { InstallConfig } from "./config.ts";

/** Who the mounters are to a cloud that trusts the cluster's tokens: the subject of their account's token. */
interface Identity {
  readonly subject: string;
}

/** What a cloud's administrator gives to the mounters' identity, and no more; `none` where snapshots are off. */
export type StoreAccess = { readonly kind: "none" } | (Identity & CloudAccess);

type CloudAccess =
  | { readonly kind: "s3"; readonly policy: object }
  | {
      readonly kind: "gcs";
      readonly bucket: string;
      readonly bindings: readonly { readonly role: string; readonly condition?: string }[];
    }
  | { readonly kind: "azure"; readonly account: string; readonly container: string; readonly role: string };

/** Least rights on the store of this configuration. */
export function storeAccess({ snapshots, systemNamespace }: InstallConfig): StoreAccess {
  if (!snapshots.enabled) return { kind: "none" };
  const subject = `system:serviceaccount:${systemNamespace.name}:${snapshots.mounter.serviceAccount.name}`;
  const location = parseStoreUrl(snapshots.store.url);
  switch (location.kind) {
    case "s3":
      return { kind: "s3", subject, policy: s3Policy(location) };
    case "gcs":
      return { kind: "gcs", subject, bucket: location.bucket, bindings: gcsBindings(location) };
    case "azure":
      return {
        kind: "azure",
        subject,
        account: location.account,
        container: location.container,
        role: "Storage Blob Data Contributor",
      };
    case "folder":
      return { kind: "none" };
  }
}

/** The unfinished uploads of a bucket can be listed only as a whole. */
function s3Policy({ bucket, prefix }: Extract<StoreLocation, { kind: "s3" }>): object {
  const arn = `arn:aws:s3:::${bucket}`;
  const below = prefix === "" ? "*" : `${prefix}/*`;
  const allow = (Action: readonly string[], Resource: string, Condition?: object): object => ({
    Effect: "Allow",
    Action,
    Resource,
    ...(Condition === undefined ? {} : { Condition }),
  });
  return {
    Version: "2012-10-17",
    Statement: [
      allow(["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], `${arn}/${below}`),
      allow(["s3:ListBucket"], arn, prefix === "" ? undefined : { StringLike: { "s3:prefix": [below] } }),
      allow(["s3:ListBucketMultipartUploads"], arn),
    ],
  };
}

/** Below a prefix objects are bound to it; to list is a right on the bucket, which knows no such condition. */
function gcsBindings({ bucket, prefix }: Extract<StoreLocation, { kind: "gcs" }>) {
  if (prefix === "") return [{ role: "roles/storage.objectUser" }];
  const condition = `resource.name.startsWith("projects/_/buckets/${bucket}/objects/${prefix}/")`;
  return [{ role: "roles/storage.objectUser", condition }, { role: "a role of your own with storage.objects.list" }];
}
