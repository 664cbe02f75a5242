import { describe, expect, test } from "vitest";
import { cidr, covers, overlaps } from "#core/cidr.ts";
import { COREDNS_IMAGE, PAUSE_IMAGE } from "../images.ts";
import { BOX, NETWORK, REGISTRY } from "../layout.ts";
import { CERTIFICATES, renderKubeconfig } from "./certificates.ts";
import { clusterDns } from "./cluster-dns.ts";
import { components } from "./components.ts";
import { renderComponentFiles, renderEtc } from "./node-files.ts";

const FILES = renderComponentFiles();
const NAMES = components().map(({ name }) => name);

describe("components()", () => {
  test("wait only for components that start before them", () => {
    const reached = new Set<string>();
    for (const round of NAMES) {
      const next = components().filter(
        ({ name, after }) => !reached.has(name) && after.every((each) => reached.has(each)),
      );
      for (const { name } of next) reached.add(name);
      if (reached.size === NAMES.length) break;
      expect([round, next.length]).not.toEqual([round, 0]);
    }
    expect([...reached].toSorted()).toEqual(NAMES.toSorted());
  });

  test("name only certificates and files that are made", () => {
    const folder = `${BOX.config}/`;
    const words = [...components().flatMap(({ command }) => command), ...Object.values(FILES)].join("\n");
    const named = [...words.matchAll(new RegExp(`${folder}([\\w./-]+)`, "g"))].map(([, path]) => path ?? "");
    const certificates = CERTIFICATES.flatMap(({ name, isUser }) => [
      `pki/${name}.crt`,
      `pki/${name}.key`,
      ...(isUser ? [`pki/${name}.kubeconfig`] : []),
    ]);
    const made = new Set([
      ...Object.keys(FILES),
      ...certificates,
      "pki/ca.crt",
      "pki/ca.key",
      "pki/sa.key",
      "pki/sa.pub",
    ]);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !made.has(path))).toEqual([]);
  });
});

describe("NETWORK", () => {
  test("has ranges that do not meet, and addresses inside of theirs", () => {
    const [node, pods, services] = [
      `${NETWORK.nodeIp}/${NETWORK.nodePrefix}`,
      NETWORK.podCidr,
      NETWORK.serviceCidr,
    ].map(cidr);
    if (node === undefined || pods === undefined || services === undefined) throw new Error("no range");
    expect([overlaps(node, pods), overlaps(node, services), overlaps(pods, services)]).toEqual([false, false, false]);
    for (const ip of [NETWORK.dnsServiceIp, NETWORK.apiServerServiceIp])
      expect(covers(services, cidr(`${ip}/32`))).toBe(true);
    expect(covers(node, cidr(`${NETWORK.hostIp}/32`))).toBe(true);
  });
});

describe("renderEtc()", () => {
  test("gives containerd runc alone, and the registry by the name that images have", () => {
    const files = renderEtc({ mayLowerOomScore: false });
    const config = files["containerd/config.toml"] ?? "";
    expect(config.match(/runtimes\.\w+/g)).toEqual(["runtimes.runc"]);
    expect(config).toContain("restrict_oom_score_adj = true");
    expect(renderEtc({ mayLowerOomScore: true })["containerd/config.toml"]).toContain("restrict_oom_score_adj = false");
    for (const image of [PAUSE_IMAGE, COREDNS_IMAGE]) expect(image.startsWith(`${REGISTRY}/`)).toBe(true);
    expect(files[`containerd/certs.d/${REGISTRY}/hosts.toml`]).toContain(`http://${REGISTRY}`);
  });
});

describe("renderKubeconfig()", () => {
  test("holds everything that a client needs", () => {
    const config: unknown = JSON.parse(renderKubeconfig("admin", { ca: "CA", certificate: "CERT", key: "KEY" }));
    expect(config).toMatchObject({
      "current-context": "atoll-testbed",
      clusters: [{ cluster: { server: "https://10.80.0.2:6443", "certificate-authority-data": btoa("CA") } }],
      users: [{ user: { "client-certificate-data": btoa("CERT"), "client-key-data": btoa("KEY") } }],
    });
  });
});

describe("clusterDns()", () => {
  test("is found by the labels that network policies select", () => {
    const { items } = clusterDns() as { items: { kind: string; spec?: { selector?: unknown } }[] };
    expect(items.find(({ kind }) => kind === "Service")?.spec?.selector).toEqual({ "k8s-app": "kube-dns" });
  });
});
