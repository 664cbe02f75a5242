import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { RUNTIMES, type RuntimeName } from "../harness/runtimes.ts";
import { call, createNamespace, findCluster, type Cluster } from "./cluster.ts";

interface Config {
  readonly clusters: readonly { readonly cluster: Record<string, string> }[];
  readonly users: readonly { readonly user: Record<string, string> }[];
}

const VISITOR = join(import.meta.dirname, "../../runtime/test/kube/visitor.ts");
let cluster: Cluster;
let directory = "";
let namespace = "";
let removeNamespace = async (): Promise<unknown> => undefined;

/** The cluster's kubeconfig with another user or another trust, as a file. */
function variant(name: string, change: (cluster: Record<string, string>) => object, user?: object): string {
  const config = parse(readFileSync(cluster.kubeconfig, "utf8")) as Config;
  const path = join(directory, name);
  const [own] = config.clusters;
  const clusters = [{ ...own, cluster: change({ ...own?.cluster }) }];
  const users = user === undefined ? config.users : config.users.map((each) => ({ ...each, user }));
  writeFileSync(path, stringify({ ...config, clusters, users }));
  return path;
}

async function visit(runtime: RuntimeName, kubeconfig: string, ...paths: string[]): Promise<string[]> {
  const [program, ...words] = RUNTIMES[runtime];
  const { stdout } = await promisify(execFile)(program, [...words, VISITOR, kubeconfig, ...paths], { timeout: 30_000 });
  return stdout.trim().split("\n");
}

beforeAll(async () => {
  cluster = await findCluster();
  directory = mkdtempSync(join(tmpdir(), "atoll-access-"));
  [namespace, removeNamespace] = await createNamespace(cluster.client(), "access");
  const account = {
    group: "",
    version: "v1",
    plural: "serviceaccounts",
    kind: "ServiceAccount",
    namespaced: true,
  } as const;
  await cluster.client().create(account, { metadata: { name: "visitor", namespace } }, call());
  const { stdout } = await cluster.run("kubectl", ["create", "token", "visitor", "--namespace", namespace]);
  writeFileSync(join(directory, "token"), stdout);
});
afterAll(async () => {
  await removeNamespace();
  rmSync(directory, { recursive: true });
});

describe.each(["bun", "deno", "node"] satisfies RuntimeName[])(
  "the real API server from %s",
  { timeout: 60_000 },
  (runtime) => {
    it("is reached with a client certificate, and watched", async () => {
      const lines = await visit(
        runtime,
        cluster.kubeconfig,
        "GET /readyz",
        `GET /api/v1/namespaces/${namespace}`,
        `GET /api/v1/namespaces?watch=true&resourceVersion=0&timeoutSeconds=1&fieldSelector=metadata.name%3D${namespace}`,
      );
      expect(lines[0]).toBe("200 ok");
      expect(lines[1]).toContain(`"name":"${namespace}"`);
      expect(lines[2]).toContain('piece {"type":"ADDED"');
      expect(lines.at(-1)).toBe("200 end");
    });

    it("is reached with a token file and a file of its authority, as a pod has them", async () => {
      const trust = (own: Record<string, string>): object => {
        const { "certificate-authority-data": data = "", ...rest } = own;
        writeFileSync(join(directory, "ca.crt"), Buffer.from(data, "base64"));
        return { ...rest, "certificate-authority": "ca.crt" };
      };
      const kubeconfig = variant("token.yaml", trust, { tokenFile: "token" });
      const lines = await visit(runtime, kubeconfig, "GET /readyz", `GET /api/v1/namespaces/${namespace}`);
      expect(lines[0]).toBe("200 ok");
      expect(lines[1]).toContain(`User \\"system:serviceaccount:${namespace}:visitor\\" cannot get`);
    });

    it("is not believed without its own authority", async () => {
      const { "certificate-authority-data": _, ...none } = parse(readFileSync(cluster.kubeconfig, "utf8")).clusters[0]
        .cluster;
      expect(
        await visit(
          runtime,
          variant("none.yaml", () => none),
          "GET /readyz",
        ),
      ).toEqual(["error unsent"]);
      const foreign = { ...none, "certificate-authority-data": foreignAuthority() };
      expect(
        await visit(
          runtime,
          variant("foreign.yaml", () => foreign),
          "GET /readyz",
        ),
      ).toEqual(["error unsent"]);
    });
  },
);

/** A certificate of nobody's. */
function foreignAuthority(): string {
  const path = join(directory, "foreign.crt");
  const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  execFileSync("openssl", [...words, "-subj", "/CN=foreign", "-keyout", join(directory, "foreign.key"), "-out", path], {
    stdio: "ignore",
  });
  return readFileSync(path).toString("base64");
}
