import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StoreError } from "./store-error.ts";
import { parseStoreUrl } from "./store-url.ts";

describe("parseStoreUrl()", () => {
  const s3 = { kind: "s3", bucket: "snaps", prefix: "", pathStyle: false };
  const azure = { kind: "azure", container: "snaps", prefix: "", account: "acct" };

  test.each([
    ["s3://snaps", s3],
    ["s3://snaps/a/b/?region=eu-west-1", { ...s3, prefix: "a/b", region: "eu-west-1" }],
    [
      "s3://snaps?endpoint=https://s3.test:9000/&path_style=true",
      { ...s3, endpoint: "https://s3.test:9000", pathStyle: true },
    ],
    [
      "s3://snaps?endpoint=s3.test&use_path_style=true&awssdk=v2",
      { ...s3, endpoint: "https://s3.test", pathStyle: true },
    ],
    [
      "s3://snaps?endpoint=s3.test:9000&disableSSL=true&s3ForcePathStyle=true",
      { ...s3, endpoint: "http://s3.test:9000", pathStyle: true },
    ],
    ["s3://snaps?prefix=a/b/", { ...s3, prefix: "a/b" }],
    ["gs://snaps/p", { kind: "gcs", bucket: "snaps", prefix: "p" }],
    ["azblob://snaps?account=acct", { ...azure, endpoint: "https://acct.blob.core.windows.net" }],
    [
      "azblob://snaps?storage_account=acct&domain=blob.core.chinacloudapi.cn",
      { ...azure, endpoint: "https://acct.blob.core.chinacloudapi.cn" },
    ],
    [
      "azblob://snaps?account=acct&endpoint=http://127.0.0.1:10000/acct",
      { ...azure, endpoint: "http://127.0.0.1:10000/acct" },
    ],
    ["gs://snaps?read_back=true", { kind: "gcs", bucket: "snaps", prefix: "", readsBack: true }],
    ["file:///a?read_back=false", { kind: "folder", path: "/a" }],
    ["file:///var/lib/a%20b/", { kind: "folder", path: "/var/lib/a b" }],
  ])("reads %s", (url, location) => {
    expect(parseStoreUrl(url)).toEqual(location);
  });

  test.each([
    ["", "it is no URL"],
    ["bucket/prefix", "it is no URL"],
    ["ftp://bucket", "ftp:// is no kind of store"],
    ["s3:///prefix", "no name of a bucket"],
    ["s3://UPPER_", "no name of a bucket"],
    ["s3://b:9000/x", "no name of a bucket"],
    ["s3://snaps/../x//y", "prefix is not usable"],
    ["s3://snaps/a?prefix=b", "a prefix twice"],
    ["s3://snaps?region=eu west", "region has to be"],
    ["s3://snaps?path_style=yes", "path_style has to be true or false"],
    ["s3://snaps?path_style=true&use_path_style=true", "the same thing as path_style and use_path_style"],
    ["s3://snaps?region=a&region=b", "region twice"],
    ["s3://snaps?disable_https=true", "needs an endpoint"],
    ["s3://snaps?endpoint=ftp://x", "endpoint has to be"],
    ["s3://snaps?regoin=x", 'knows no setting "regoin"; it knows region'],
    ["s3://id:secret@snaps", "credentials do not belong"],
    ["s3://snaps?secret_access_key=hush", "looks like a credential"],
    ["gs://snaps?private_key_path=/hush", "looks like a credential"],
    ["azblob://snaps?account=acct&sig=hush", "looks like a credential"],
    ["s3://snaps?endpoint=https://id:hush@x", "endpoint has to be"],
    ["azblob://snaps", "names no storage account"],
    ["azblob://snaps?account=A-B", "account has to be"],
    ["file://host/path", "right is file:///host/path"],
    ["file:///", "it names no folder"],
    ["file:snapshots", "right is file:///folder"],
    ["file:///a?create_dir=true", 'knows no setting "create_dir"; it knows read_back'],
    ["file:///a?read_back=1", "read_back has to be true or false"],
    ["file:///%ff", "no escape"],
    ["gs://snaps#x", "# part"],
  ])("refuses %j: %s", (url, why) => {
    const parse = (): unknown => parseStoreUrl(url);
    expect(parse).toThrow(StoreError);
    expect(parse).toThrow(why);
    expect(parse).toThrow(/^Cannot use the store's URL: .*\.$/);
    expect(parse).not.toThrow(/hush/);
  });

  test("answers or refuses whatever text", () => {
    const texts = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.string().map((rest) => `s3://snaps/${rest}`),
      fc.string().map((rest) => `file://${rest}`),
    );
    const check = (text: string): void => {
      try {
        parseStoreUrl(text);
      } catch (error) {
        expect(error).toMatchObject({ name: "StoreError", kind: "invalid" });
      }
    };
    fc.assert(fc.property(texts, check));
  });
});
