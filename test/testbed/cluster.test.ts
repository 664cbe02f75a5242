import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEBIAN_IMAGE } from "#testbed/images.ts";
import { NETWORK, NODE_NAME, REGISTRY_FROM_HOST } from "#testbed/layout.ts";
import { openTestbed, type Testbed } from "../harness/testbed.ts";

const NAMESPACE = "dev-testbed-cluster";

let testbed: Testbed;

beforeAll(async () => {
  testbed = await openTestbed();
  await testbed.kubectl(["delete", "namespace", NAMESPACE, "--ignore-not-found"]);
  await testbed.kubectl(["create", "namespace", NAMESPACE]);
  await testbed.kubectl(["-n", NAMESPACE, "wait", "--for=create", "serviceaccount/default", "--timeout=20s"]);
  await startPods(
    pod("server", { command: ["python3", "-m", "http.server", "8000", "--directory", "/etc"] }),
    pod("client"),
  );
}, 60_000);

afterAll(async () => {
  await testbed.kubectl(["delete", "namespace", NAMESPACE, "--wait=false"]);
});

function pod(name: string, over: object = {}, spec: object = {}): object {
  const container = { name: "main", image: DEBIAN_IMAGE, command: ["sleep", "infinity"], ...over };
  const metadata = { name, namespace: NAMESPACE, labels: { app: name } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata,
    spec: { terminationGracePeriodSeconds: 0, containers: [container], ...spec },
  };
}

async function startPods(...pods: readonly object[]): Promise<void> {
  await testbed.kubectl(["apply"], { apiVersion: "v1", kind: "List", items: pods });
  const names = pods.map((each) => `pod/${(each as { metadata: { name: string } }).metadata.name}`);
  await testbed.kubectl(["-n", NAMESPACE, "wait", "--for=condition=Ready", "--timeout=30s", ...names]);
}

function inClient(...command: readonly string[]): Promise<string> {
  return testbed.kubectl(["-n", NAMESPACE, "exec", "client", "--", ...command]);
}

const python = (program: string): readonly string[] => ["python3", "-c", program];

describe("a cluster", () => {
  test("has every component healthy, and one Ready node", async () => {
    const components = await testbed.control.components();
    expect(components.map(({ name }) => name).toSorted()).toEqual([
      "containerd",
      "etcd",
      "kube-apiserver",
      "kube-controller-manager",
      "kube-proxy",
      "kube-scheduler",
      "kubelet",
      "registry",
    ]);
    expect(components.filter(({ healthy, state }) => !healthy || state !== "running")).toEqual([]);
    const ready = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status} {.items[*].metadata.name}";
    expect(await testbed.kubectl(["get", "nodes", "-o", ready])).toBe(`True ${NODE_NAME}`);
  });

  test("runs pods by runc; exec gives their output and exit code", async () => {
    expect(await inClient("sh", "-c", "hostname; id -u; cat /proc/1/comm")).toBe("client\n0\nsleep\n");
    await expect(inClient("sh", "-c", "exit 7")).rejects.toMatchObject({
      stderr: expect.stringContaining("exit code 7"),
    });
  });

  test("resolves names of services, denies others at once, and routes to services from pods and from the machine", async () => {
    await testbed.kubectl(["-n", NAMESPACE, "expose", "pod/server", "--name=web", "--port=80", "--target-port=8000"]);
    const of = async (kind: string, name: string, path: string): Promise<string> =>
      testbed.kubectl(["-n", NAMESPACE, "get", kind, name, "-o", `jsonpath=${path}`]);
    const serviceIp = await of("service", "web", "{.spec.clusterIP}");
    expect(
      await inClient(...python(`import socket; print(socket.gethostbyname("web.${NAMESPACE}.svc.cluster.local"))`)),
    ).toBe(`${serviceIp}\n`);
    await expect(inClient(...python('import socket; socket.gethostbyname("example.com")'))).rejects.toMatchObject({
      stderr: expect.stringContaining("Name or service not known"),
    });
    const fetchHostname =
      'import urllib.request as u; print(u.urlopen("http://web/hostname", timeout=10).read().decode(), end="")';
    await expect.poll(() => inClient(...python(fetchHostname)).catch(String), { timeout: 10_000 }).toBe("server\n");
    for (const address of [serviceIp, `${await of("pod", "server", "{.status.podIP}")}:8000`]) {
      expect(await (await fetch(`http://${address}/hostname`, { signal: AbortSignal.timeout(5_000) })).text()).toBe(
        "server\n",
      );
    }
  });

  test("pods reach the API server by its service, with their account's token", async () => {
    const program = `
import json, ssl, urllib.request
base = "/var/run/secrets/kubernetes.io/serviceaccount/"
context = ssl.create_default_context(cafile=base + "ca.crt")
headers = {"authorization": "Bearer " + open(base + "token").read(), "content-type": "application/json"}
review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
url = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews"
request = urllib.request.Request(url, json.dumps(review).encode(), headers)
print(json.load(urllib.request.urlopen(request, context=context, timeout=10))["status"]["userInfo"]["username"])
`;
    expect(await inClient(...python(program))).toBe(`system:serviceaccount:${NAMESPACE}:default\n`);
  });

  test("has no gVisor: neither its programs nor its runtime", async () => {
    expect(testbed.onNode(["sh", "-c", "command -v runsc containerd-shim-runsc-v1 || echo none"])).toBe("none\n");
    expect(testbed.onNode(["sh", "-c", "grep -ci runsc /etc/containerd/config.toml; true"])).toBe("0\n");
  });

  test("images pushed from the machine run under the registry's name in the cluster, stand-ins under their own", async () => {
    const from = `docker://${REGISTRY_FROM_HOST}/debian:1`;
    const to = `docker://${REGISTRY_FROM_HOST}/pushed-by-a-test:7`;
    const options = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    execFileSync("skopeo", ["copy", ...options, from, to], { stdio: "ignore" });
    await startPods(
      pod("pushed", { image: "localhost:5000/pushed-by-a-test:7" }),
      pod("stand-in", { image: "python:3.12-slim" }),
    );
    for (const name of ["pushed", "stand-in"])
      expect(await testbed.kubectl(["-n", NAMESPACE, "exec", name, "--", ...python("print(6 * 7)")])).toBe("42\n");
  });

  test("what a pod writes to the node's folders stays in the box", async () => {
    const mounts = { volumeMounts: [{ name: "bin", mountPath: "/bin-of-node" }] };
    const spec = { volumes: [{ name: "bin", hostPath: { path: "/usr/local/bin" } }] };
    await startPods(pod("writer", mounts, spec));
    await testbed.kubectl(["-n", NAMESPACE, "exec", "writer", "--", "touch", "/bin-of-node/written-by-a-pod"]);
    expect(testbed.onNode(["ls", "/usr/local/bin"])).toContain("written-by-a-pod");
    expect(existsSync("/usr/local/bin/written-by-a-pod")).toBe(false);
    testbed.onNode(["rm", "/usr/local/bin/written-by-a-pod"]);
  });

  test("a pod's mounts reach the node where it asks for that, and the machine never", async () => {
    const mounts = {
      securityContext: { privileged: true },
      volumeMounts: [{ name: "shared", mountPath: "/shared", mountPropagation: "Bidirectional" }],
    };
    const spec = { volumes: [{ name: "shared", hostPath: { path: "/var/lib/kubelet" } }] };
    await startPods(pod("mounter", mounts, spec));
    const inMounter = (...command: string[]): Promise<string> =>
      testbed.kubectl(["-n", NAMESPACE, "exec", "mounter", "--", ...command]);
    await inMounter("sh", "-c", "mkdir -p /shared/mark && mount -t tmpfs a-pods-mount /shared/mark");
    expect(testbed.onNode(["cat", "/proc/self/mountinfo"])).toContain("a-pods-mount");
    expect(execFileSync("cat", ["/proc/self/mountinfo"], { encoding: "utf8" })).not.toContain("a-pods-mount");
    await inMounter("umount", "/shared/mark");
  });
});

describe("a component that ends", () => {
  test.each([
    "kube-scheduler",
    "kube-controller-manager",
    "kube-proxy",
    "kubelet",
    "containerd",
    "registry",
    "etcd",
    "kube-apiserver",
  ])(
    "by kill -9, %s, is started again, and pods go on",
    async (name) => {
      const before = await startedAt("client");
      const { pid, restarts } = await status(name);
      await testbed.control.kill(name);
      await expect.poll(async () => (await status(name)).restarts, { timeout: 20_000 }).toBe(restarts + 1);
      await expect
        .poll(async () => (await testbed.control.components()).every(({ healthy }) => healthy), { timeout: 60_000 })
        .toBe(true);
      expect((await status(name)).pid).not.toBe(pid);
      expect(await startedAt("client")).toEqual(before);
      // kubelet learns its pods anew.
      await expect.poll(() => inClient("echo", "well").catch(String), { timeout: 20_000 }).toBe("well\n");
    },
    90_000,
  );

  test("by killing containerd in its own namespace, as an installer does, is started again with its new settings", async () => {
    const { restarts } = await status("containerd");
    const settings = "/etc/containerd/config.toml";
    testbed.onNode([
      "sh",
      "-c",
      `cp ${settings} /run/settings.old; echo "oom_score = 7" >/run/new; cat ${settings} >>/run/new; cat /run/new >${settings}`,
    ]);
    testbed.onNode(["sh", "-c", "kill $(pidof containerd)"]);
    await expect.poll(async () => (await status("containerd")).restarts, { timeout: 20_000 }).toBe(restarts + 1);
    await expect.poll(async () => (await status("containerd")).healthy, { timeout: 20_000 }).toBe(true);
    expect(testbed.onNode(["containerd", "config", "dump"])).toContain("oom_score = 7");
    testbed.onNode(["sh", "-c", `cat /run/settings.old >${settings}; kill $(pidof containerd)`]);
    await expect.poll(async () => (await status("containerd")).restarts, { timeout: 20_000 }).toBe(restarts + 2);
    await expect.poll(async () => (await status("containerd")).healthy, { timeout: 20_000 }).toBe(true);
  }, 90_000);

  test("by stop stays down until it is started", async () => {
    await testbed.control.stop("kube-apiserver");
    expect(await status("kube-apiserver")).toMatchObject({ state: "stopped", healthy: false });
    const answer = fetch(`http://${NETWORK.nodeIp}:6443/`).then(
      () => "answered",
      () => "refused",
    );
    expect(await answer).toBe("refused");
    await testbed.control.start("kube-apiserver");
    await expect.poll(async () => (await status("kube-apiserver")).healthy, { timeout: 60_000 }).toBe(true);
    expect(await inClient("echo", "well")).toBe("well\n");
  }, 90_000);

  test("that nobody knows is refused by name", async () => {
    await expect(testbed.control.stop("kube-nonsense")).rejects.toThrow('there is no component \\"kube-nonsense\\"');
  });
});

async function status(name: string) {
  const found = (await testbed.control.components()).find((each) => each.name === name);
  if (found === undefined) throw new Error(`There is no component ${name}`);
  return found;
}

/** Start of a pod's container and how often it was started again. */
async function startedAt(name: string): Promise<string> {
  const path =
    "jsonpath={.status.containerStatuses[0].state.running.startedAt} {.status.containerStatuses[0].restartCount}";
  return testbed.kubectl(["-n", NAMESPACE, "get", "pod", name, "-o", path]);
}
