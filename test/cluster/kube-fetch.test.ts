import { KubeConfig, type Cluster as KubeCluster, type User } from "@kubernetes/client-node";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KubeClient, Resource } from "#core/kubernetes/client.ts";
import { createKubeClient } from "#core/kubernetes/kube-client.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";
import { CONFIG_MAPS } from "#core/kubernetes/resources.ts";
import { createKubeFetch } from "#operator/node/kube-fetch.ts";
import { call, createNamespace, findCluster, type Cluster } from "./cluster.ts";

interface SelfReview extends KubeObject {
  readonly status?: { readonly userInfo?: { readonly username?: string } };
}

const SELF_REVIEWS: Resource<SelfReview> = {
  group: "authentication.k8s.io",
  version: "v1",
  plural: "selfsubjectreviews",
  kind: "SelfSubjectReview",
  namespaced: false,
};

let cluster: Cluster;
let namespace: string;
let removeNamespace: (() => Promise<unknown>) | undefined;
let folder: string;
let server: KubeCluster;

beforeAll(async () => {
  cluster = await findCluster();
  [namespace, removeNamespace] = await createNamespace(cluster.client(), "fetch");
  folder = await mkdtemp(join(tmpdir(), "atoll-fetch-"));
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  server = config.getCurrentCluster() as KubeCluster;
});
afterAll(async () => {
  await removeNamespace?.();
  await rm(folder, { recursive: true, force: true });
});

function clientOf(user: User, change: Partial<KubeCluster> = {}): KubeClient {
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ ...server, ...change }, user);
  return createKubeClient(createKubeFetch(config, { refreshMs: 0 }), { timeoutMs: 5000 });
}

/** Who the API server takes this client for. */
async function whoIs(client: KubeClient): Promise<string | undefined> {
  const review = await client.create(SELF_REVIEWS, { metadata: { name: "" } }, call());
  return review.status?.userInfo?.username;
}

async function tokenOf(account: string): Promise<string> {
  const made = await cluster.run("kubectl", ["-n", namespace, "create", "serviceaccount", account]);
  expect(made).toMatchObject({ exitCode: 0 });
  return (await cluster.run("kubectl", ["-n", namespace, "create", "token", account])).stdout.trim();
}

describe("createKubeFetch() on a real API server", () => {
  it("is whom the client certificate of a kubeconfig names", async () => {
    const config = new KubeConfig();
    config.loadFromFile(cluster.kubeconfig);
    expect(await whoIs(createKubeClient(createKubeFetch(config)))).toContain("admin");
  });

  it("follows a token file that is rotated", async () => {
    const tokenFile = join(folder, "token");
    const client = clientOf({ name: "u", authProvider: { name: "tokenFile", config: { tokenFile } } });
    await writeFile(tokenFile, await tokenOf("first"));
    expect(await whoIs(client)).toBe(`system:serviceaccount:${namespace}:first`);
    await writeFile(tokenFile, await tokenOf("second"));
    expect(await whoIs(client)).toBe(`system:serviceaccount:${namespace}:second`);
    await writeFile(tokenFile, "no token");
    await expect(whoIs(client)).rejects.toMatchObject({ status: 401, reason: "Unauthorized" });
  });

  it("asks a plugin for credentials", async () => {
    const plugin = join(folder, "plugin");
    const credential = {
      apiVersion: "client.authentication.k8s.io/v1",
      kind: "ExecCredential",
      status: { token: await tokenOf("plugged") },
    };
    await writeFile(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`);
    await chmod(plugin, 0o700);
    const client = clientOf({ name: "u", exec: { apiVersion: credential.apiVersion, command: plugin } });
    expect(await whoIs(client)).toBe(`system:serviceaccount:${namespace}:plugged`);
  });

  it("tells what an account may not do from what it does wrongly", async () => {
    const client = clientOf({ name: "u", token: await tokenOf("nobody") });
    await expect(client.list(CONFIG_MAPS, { namespace }, call())).rejects.toMatchObject({
      status: 403,
      reason: "Forbidden",
    });
  });

  it("sends nothing to a server whose certificate another authority signed", async () => {
    const client = clientOf({ name: "u", token: "secret" }, { caData: "" });
    await expect(whoIs(client)).rejects.toMatchObject({ status: 0, reason: "Unsent" });
  });
});
