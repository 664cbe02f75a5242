import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SandboxResource } from "#api/crd/sandbox.ts";
import { AGENT_CONTAINER, AGENT_PORT, podName } from "#core/kubernetes/names.ts";
import { PODS, SANDBOXES } from "#core/kubernetes/resources.ts";
import { silentLog } from "#core/log.ts";
import type { Sandbox } from "#core/sandbox.ts";
import type { SandboxBackend } from "#runtime/backend/port.ts";
import { AGENT_FILES } from "#sidecar/manifest.ts";
import { exec, problemOf, shell, type AgentPeer } from "../agent/client.ts";
import { until } from "../harness/until.ts";
import { isolationCases } from "../agent/isolation-cases.ts";
import { TEST_IMAGE } from "../harness/cluster-images.ts";
import { openBackend } from "../harness/cluster-backend.ts";
import { startHostOperator, type HostOperator } from "../harness/host-operator.ts";
import { call } from "./cluster.ts";

type Draft = Readonly<Record<string, unknown>>;

const WAIT_MS = 60_000;
let operator: HostOperator;
let backend: SandboxBackend;
let peer: AgentPeer;
let podIp = "";
const NAME = "agent-under-test";

const container = (name: string, members: Draft = {}): Draft => ({ name, image: TEST_IMAGE, ...members });

/** Makes a Sandbox as its users write them and waits until it runs. */
async function running(name: string, containers: readonly Draft[]): Promise<AgentPeer> {
  const spec = { podTemplate: { spec: { containers } }, startupTimeoutSeconds: 60 };
  const metadata = { name, namespace: operator.sandboxNamespace };
  await operator.client.create(SANDBOXES, { metadata, spec } as unknown as SandboxResource, call());
  const last = await untilState(name, ({ phase }) => phase !== "Pending");
  expect(last).toMatchObject({ phase: "Running" });
  const send = await backend.agent(name, { signal: AbortSignal.timeout(WAIT_MS), log: silentLog });
  return {
    fetch: (path, init = {}) => send(new Request(`http://agent${path}`, { ...init, duplex: "half" } as RequestInit)),
  };
}

async function untilState(name: string, pleases: (sandbox: Sandbox) => boolean): Promise<Sandbox> {
  const calling = { signal: AbortSignal.timeout(WAIT_MS), log: silentLog };
  for await (const sandbox of backend.watch(name, calling)) if (pleases(sandbox)) return sandbox;
  throw new Error(`The sandbox ${name} never was as wanted: ${operator.log()}`);
}

beforeAll(async () => {
  operator = await startHostOperator();
  backend = await openBackend(operator);
  peer = await running(NAME, [
    container("main"),
    container("side"),
    container("plain", {
      securityContext: {
        runAsUser: 1000,
        runAsGroup: 1000,
        runAsNonRoot: true,
        allowPrivilegeEscalation: false,
        capabilities: { drop: ["ALL"] },
      },
    }),
    container("dropped", { securityContext: { capabilities: { drop: ["ALL"] } } }),
    container("readonly", { securityContext: { readOnlyRootFilesystem: true } }),
  ]);
  const metadata = { name: podName(NAME), namespace: operator.sandboxNamespace };
  podIp = (await operator.client.get(PODS, metadata, call())).status?.podIP ?? "";
  for (const name of ["side", "plain"])
    await peer.fetch(`/v1/files?container=${name}&path=/secret`, { method: "PUT", body: "of the sibling" });
}, 180_000);
afterAll(async () => {
  await backend?.close();
  await operator?.dispose();
}, 120_000);

describe("the agent in a pod", { timeout: 120_000 }, () => {
  isolationCases(() => peer);

  it.each([
    { name: "plain", uid: "0\n" },
    { name: "dropped", uid: "0\n" },
  ])("runs commands in $name as root without any power that counts", async ({ name, uid }) => {
    const run = (script: string) => shell(peer, script, { container: name });
    expect((await run("id -u")).stdout).toBe(uid);
    expect((await run("chown 5:5 /tmp")).exitCode).not.toBe(0);
    expect((await run("mount -t tmpfs none /mnt")).exitCode).not.toBe(0);
  });

  it("writes nothing into a container whose root is read-only, and still runs commands there", async () => {
    expect((await shell(peer, "echo x > /x; echo $?", { container: "readonly" })).stdout).toBe("2\n");
    const answer = await peer.fetch("/v1/files?container=readonly&path=/x", { method: "PUT", body: "x" });
    expect(answer.ok).toBe(false);
    const kept = await peer.fetch("/v1/files?container=readonly&path=/dev/shm/x", { method: "PUT", body: "x" });
    expect(kept.status).toBe(204);
  });

  it("keeps output on its own disk alone", async () => {
    const { stdout } = await shell(
      peer,
      "echo needle-$((40 + 2)); ls -d /var/lib/atoll /opt/atoll 2>&1 | grep -vc 'No such'",
    );
    expect(stdout).toBe("needle-42\n0\n");
    expect((await shell(peer, "grep -rl needle-42 /var /run /tmp /root /opt 2>/dev/null")).stdout).toBe("");
  });

  it("is open to nobody inside: each request without a token is a 401, without a proof", async () => {
    const ask = `
import urllib.request, urllib.error
for method, path in (("GET", "/v1/health"), ("POST", "/v1/commands"), ("PUT", "/v1/files?path=/x"), ("GET", "/nowhere")):
    request = urllib.request.Request("http://${podIp}:${AGENT_PORT}" + path, method=method, data=b"{}" if method != "GET" else None)
    request.add_header("x-atoll-nonce", "A" * 22)
    try: urllib.request.urlopen(request); print("let in")
    except urllib.error.HTTPError as error: print(error.code, error.headers.get("x-atoll-proof"))
`;
    expect((await exec(peer, ["python3", "-c", ask])).stdout).toBe("401 None\n".repeat(4));
  });

  it("cannot be stood in for: nobody else can listen on its address", async () => {
    const bind = `
import socket
for option in (0, socket.SO_REUSEADDR, socket.SO_REUSEPORT):
    listener = socket.socket()
    if option: listener.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listener.bind(("${podIp}", ${AGENT_PORT}))
        listener.listen()
        print("taken")
    except OSError as error: print(error.errno)
`;
    for (const name of ["main", "plain"])
      expect((await exec(peer, ["python3", "-c", bind], { container: name })).stdout).toBe("98\n98\n98\n");
  });

  it("gets no request whose token or proof is another sandbox's", async () => {
    const other = await running("another", [container("main")]);
    expect((await shell(other, "echo there")).stdout).toBe("there\n");
    const uids = backend as unknown as {
      deps: { agents: { fetchOf(uid: string, ip: string): ReturnType<SandboxBackend["agent"]> } };
    };
    const metadata = { name: "another", namespace: operator.sandboxNamespace };
    const { uid = "" } = (await operator.client.get(SANDBOXES, metadata, call())).metadata;
    // As if the address of the one had become the other's.
    const stray = await uids.deps.agents.fetchOf(uid, podIp);
    await expect(stray(new Request("http://agent/v1/health"))).rejects.toThrow("without the agent's proof");
    const post = new Request("http://agent/v1/commands", { method: "POST", body: "{}" });
    await expect(stray(post)).rejects.toMatchObject({ slug: "agent-unreachable" });
  });

  it("takes what an administrator executes in a container for no container", async () => {
    const words = ["exec", "--namespace", operator.sandboxNamespace, podName(NAME), "--container", "main", "--"];
    const program = ["sh", "-c", "cd /tmp && exec env WHO=admin sleep 1000"];
    const administrator = operator.cluster.run("kubectl", [...words, ...program]);
    const found = await until(
      () => shell(peer, "grep -l ^WHO=admin --null-data /proc/[0-9]*/environ"),
      ({ stdout }) => stdout !== "",
    );
    expect((await shell(peer, "pwd; echo who=$WHO")).stdout).toBe("/\nwho=\n");
    const health = (await (await peer.fetch("/v1/health")).json()) as { containers: unknown[] };
    expect(health.containers).toHaveLength(5);
    await shell(peer, `kill -9 ${found.stdout.split("/")[2]}`);
    expect((await administrator).exitCode).not.toBe(0);
  });

  it("says at once that there is no such container", async () => {
    const answer = await peer.fetch("/v1/commands?container=nobody", {
      method: "POST",
      body: JSON.stringify({ id: crypto.randomUUID(), args: ["true"] }),
    });
    expect(await problemOf(answer)).toMatchObject({ slug: "unknown-container" });
  });

  it("and its supervisor, once killed by root in a container, end the sandbox with that reason", async () => {
    const doomed = await running("doomed", [container("main")]);
    const supervisor = AGENT_FILES.supervisor.split("/").at(-1);
    const kill = `for f in /proc/[0-9]*/comm; do [ "$(cat $f)" = ${supervisor} ] && p=\${f%/comm} && kill -9 \${p#/proc/}; done`;
    await shell(doomed, kill).catch(() => undefined);
    const ended = await untilState("doomed", ({ phase }) => phase === "Failed" || phase === "Succeeded");
    expect(ended).toMatchObject({ phase: "Failed", reason: "AgentLost" });
    expect(ended.message).not.toContain(AGENT_CONTAINER);
  });
});
