import { describe, expect, it } from "vitest";
import type { Resource } from "./client.ts";
import type { KubeObject } from "./object.ts";
import { collectionPath, creationPath, listParameters, objectPath } from "./resource-path.ts";

const PODS: Resource<KubeObject> = { group: "", version: "v1", plural: "pods", kind: "Pod", namespaced: true };
const NODES: Resource<KubeObject> = { ...PODS, plural: "nodes", kind: "Node", namespaced: false };
const THINGS: Resource<KubeObject> = { group: "x.y", version: "v2", plural: "things", kind: "Thing", namespaced: true };

describe("objectPath()", () => {
  it("addresses objects of the core group, of others, with and without namespace, and subresources", () => {
    expect(objectPath(PODS, { namespace: "a", name: "b" })).toBe("/api/v1/namespaces/a/pods/b");
    expect(objectPath(THINGS, { namespace: "a", name: "b" }, "status")).toBe(
      "/apis/x.y/v2/namespaces/a/things/b/status",
    );
    expect(objectPath(NODES, { name: "b" })).toBe("/api/v1/nodes/b");
  });

  it.each(["", ".", "..", "../secrets/x", "a/b", "a%2fb"])(
    "refuses the name %j, which addresses something else",
    (name) => {
      expect(() => objectPath(PODS, { namespace: "a", name })).toThrow(RangeError);
      expect(() => objectPath(PODS, { namespace: name, name: "a" })).toThrow(RangeError);
    },
  );

  it("keeps what could end a path inside the name", () => {
    expect(objectPath(PODS, { namespace: "a", name: "b?c#d" })).toBe("/api/v1/namespaces/a/pods/b%3Fc%23d");
  });
});

describe("creationPath()", () => {
  it("refuses to guess a namespace", () => {
    expect(() => creationPath(PODS, undefined)).toThrow(/without its namespace/);
    expect(collectionPath(PODS, undefined)).toBe("/api/v1/pods");
  });
});

describe("listParameters()", () => {
  it("encodes selectors and leaves out what is not given", () => {
    expect(listParameters({ labelSelector: "a=b,c!=d", limit: 5 })).toBe("?labelSelector=a%3Db%2Cc!%3Dd&limit=5");
    expect(listParameters({ resourceVersion: "0" })).toBe("?resourceVersion=0");
    expect(listParameters({})).toBe("");
  });
});
