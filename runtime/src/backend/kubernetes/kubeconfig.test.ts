import { describe, expect, it } from "vitest";
import { readKubeconfig } from "./kubeconfig.ts";

const config = (user: object, cluster: object = {}): object => ({
  apiVersion: "v1",
  kind: "Config",
  "current-context": "here",
  contexts: [
    { name: "there", context: { cluster: "far", user: "me" } },
    { name: "here", context: { cluster: "near", user: "me", namespace: "x" } },
  ],
  clusters: [{ name: "near", cluster: { server: "https://10.0.0.1:6443", ...cluster } }],
  users: [{ name: "me", user }],
});

describe("readKubeconfig()", () => {
  it("takes what stands in the file before what it points to", () => {
    const user = { "client-certificate-data": "Y2VydA==", "client-certificate": "/c", "client-key": "me.key" };
    expect(readKubeconfig(config(user, { "certificate-authority": "ca.crt", "tls-server-name": "api" }))).toEqual({
      server: "https://10.0.0.1:6443",
      isInsecure: false,
      serverName: "api",
      authority: { kind: "file", path: "ca.crt" },
      certificate: { kind: "inline", base64: "Y2VydA==" },
      key: { kind: "file", path: "me.key" },
    });
  });

  it("takes tokens, a file before a text, as it may be rotated", () => {
    expect(readKubeconfig(config({ token: "t" })).token).toEqual({ kind: "inline", text: "t" });
    expect(readKubeconfig(config({ token: "t", tokenFile: "/t" })).token).toEqual({ kind: "file", path: "/t" });
  });

  it.each([
    { content: null, words: "the file" },
    { content: { ...config({}), "current-context": "nowhere" }, words: 'no context "nowhere"' },
    { content: { ...config({}), clusters: [] }, words: 'no cluster "near"' },
    { content: config({}, { server: "10.0.0.1" }), words: 'cluster "near": server' },
    { content: config({ exec: { command: "aws" } }), words: "logs in by exec" },
    { content: config({ "auth-provider": { name: "gcp" } }), words: "logs in by auth-provider" },
    { content: config({}, { "proxy-url": "http://proxy" }), words: "behind a proxy" },
  ])("says what is wrong: $words", ({ content, words }) => {
    expect(() => readKubeconfig(content)).toThrow(words);
  });
});
