import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stackSettings } from "../test/registrations.ts";
import { readInstallConfig } from "./config.ts";
import { storeAccess } from "./store-access.ts";

const subject = "system:serviceaccount:atoll-system:atoll-mounter";
const of = (url: string, mounter: object = {}) =>
  storeAccess(readInstallConfig(stackSettings({ snapshots: { enabled: true, store: { url }, mounter } }), "1.2.3"));

describe("storeAccess()", () => {
  it("is none where snapshots are off", () =>
    expect(storeAccess(readInstallConfig(stackSettings({}), "1.2.3"))).toEqual({ kind: "none" }));

  it("of S3 is the policy that the page on stores shows", () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/reference/snapshot-stores.md"), "utf8");
    const shown: unknown = JSON.parse(/```json\n([^`]*)```/.exec(page)?.[1] ?? "");
    const access = of("s3://BUCKET/PREFIX?region=eu-west-1".replace("BUCKET", "bucket"));
    const policy = JSON.parse(JSON.stringify(access).replaceAll(":::bucket", ":::BUCKET")) as { policy: unknown };
    expect(policy).toEqual({ kind: "s3", subject, policy: shown });
  });

  it("of a whole bucket names no prefix", () => {
    const text = JSON.stringify(of("s3://bucket"));
    expect(text).toContain('"arn:aws:s3:::bucket/*"');
    expect(text).not.toContain("Condition");
    expect(of("gs://bucket")).toEqual({
      kind: "gcs",
      subject,
      bucket: "bucket",
      bindings: [{ role: "roles/storage.objectUser" }],
    });
  });

  it("of Google binds objects to the prefix, and of Azure is a role on the container", () => {
    expect(of("gs://bucket/a/b", { serviceAccount: { name: "other" } })).toMatchObject({
      subject: "system:serviceaccount:atoll-system:other",
      bindings: [
        { condition: 'resource.name.startsWith("projects/_/buckets/bucket/objects/a/b/")' },
        { role: expect.stringContaining("storage.objects.list") },
      ],
    });
    expect(of("azblob://box/p?account=acct")).toEqual({
      kind: "azure",
      subject,
      account: "acct",
      container: "box",
      role: "Storage Blob Data Contributor",
    });
  });
});
