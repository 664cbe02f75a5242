import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FILE_SIZE_HEADER } from "#api/agent.ts";
import { until } from "../harness/until.ts";
import { killAgent, problemOf, shell } from "./client.ts";
import { startSandbox, type AgentSandbox } from "./sandbox.ts";

const MIB = 1 << 20;
let sandbox: AgentSandbox;

beforeAll(async () => {
  sandbox = await startSandbox({
    targets: [
      { name: "main", cwd: "/srv" },
      {
        name: "side",
        user: { uid: 1234, gid: 4321 },
        capabilities: ["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_FOWNER", "CAP_DAC_OVERRIDE"],
      },
    ],
  });
  await shell(
    sandbox,
    "echo main > /root/who; mkdir -p /srv/dir; mkfifo /srv/fifo; mknod /srv/device c 1 5; ln -s / /srv/up; ln -s /etc/hostname-x /srv/dangling; ln -s loop /srv/loop; echo target > /srv/real; ln -s real /srv/link; ln -s ../../../../../../root/who /srv/climb; ln /srv/real /srv/hard",
  );
  await shell(sandbox, "echo side > /root/who", { container: "side" });
}, 60_000);
afterAll(async () => sandbox?.[Symbol.asyncDispose]());

function get(path: string, container = "main") {
  return sandbox.fetch(`/v1/files?container=${container}&path=${encodeURIComponent(path)}`);
}
function put(
  path: string,
  body: string | Uint8Array | Readable = "",
  container = "main",
  headers: Record<string, string> = {},
) {
  return sandbox.fetch(`/v1/files?container=${container}&path=${encodeURIComponent(path)}`, {
    method: "PUT",
    body,
    headers,
  });
}
async function text(path: string, container = "main"): Promise<string> {
  return (await get(path, container)).text();
}

describe("GET", () => {
  test("reads files, absolute and relative, with their length", async () => {
    const response = await get("real");
    expect([response.status, response.headers.get(FILE_SIZE_HEADER), await response.text()]).toEqual([
      200,
      "7",
      "target\n",
    ]);
    expect(await text("/srv/./dir/../real")).toBe("target\n");
  });

  test.each([
    ["/srv/missing", 404, "file-not-found"],
    ["/srv/real/x", 404, "file-not-found"],
    ["/srv/dangling", 404, "file-not-found"],
    ["/srv", 400, "not-a-file"],
    ["/", 400, "not-a-file"],
    ["/srv/fifo", 400, "not-a-file"],
    ["/srv/device", 400, "not-a-file"],
    ["/srv/loop", 403, "path-escape"],
    ["", 400, "bad-path"],
    ["a\0b", 400, "bad-path"],
    ["/x".repeat(3000), 400, "bad-path"],
    ["/proc/1/environ", 403, "path-escape"],
    ["/proc/self/environ", 403, "path-escape"],
    ["/proc/self/root/bin/bun", 403, "path-escape"],
    ["/proc/1/root/opt/atoll/agent.js", 403, "path-escape"],
  ])("of %j is %i", async (path, status, slug) => {
    expect(await problemOf(await get(path))).toMatchObject({ status, slug });
  });

  test("stays inside its own container, whatever links say", async () => {
    expect(await text("/srv/climb")).toBe("main\n");
    expect(await text("/srv/up/root/who")).toBe("main\n");
    expect(await text("../../../../root/who")).toBe("main\n");
    expect(await text("/root/who", "side")).toBe("side\n");
  });

  test("reads a kernel file that tells no size", async () => {
    expect(await text("/proc/meminfo")).toContain("MemTotal");
  });
});

describe("PUT", () => {
  test("gives the file to the container's user, mode 0666, and makes parents", async () => {
    expect((await put("/data/a/b/file", "hello", "side")).status).toBe(204);
    const { stdout } = await shell(
      sandbox,
      "stat -c '%n %a %u %g' /data /data/a /data/a/b /data/a/b/file; cat /data/a/b/file; ls -A /data/a/b",
      { container: "side" },
    );
    expect(stdout).toBe(
      "/data 755 1234 4321\n/data/a 755 1234 4321\n/data/a/b 755 1234 4321\n/data/a/b/file 666 1234 4321\nhellofile\n",
    );
  });

  test("writes empty, chunked and relative files", async () => {
    expect((await put("empty", "")).status).toBe(204);
    expect((await put("chunked", Readable.from([Buffer.from("a"), Buffer.from("bc")]))).status).toBe(204);
    expect([await text("/srv/empty"), await text("/srv/chunked")]).toEqual(["", "abc"]);
  });

  test("replaces a file, writes through a link, and leaves other hard links alone", async () => {
    await shell(sandbox, "echo old > /srv/old; ln /srv/old /srv/other; ln -s old /srv/to-old; ln -s new /srv/to-new");
    expect((await put("/srv/to-old", "new")).status).toBe(204);
    expect((await put("/srv/to-new", "made")).status).toBe(204);
    expect([await text("/srv/old"), await text("/srv/other"), await text("/srv/new")]).toEqual([
      "new",
      "old\n",
      "made",
    ]);
    expect((await shell(sandbox, "readlink /srv/to-old /srv/to-new")).stdout).toBe("old\nnew\n");
  });

  test.each([
    ["/srv/dir", 400, "not-a-file"],
    ["/srv/dir/", 400, "bad-path"],
    ["/", 400, "bad-path"],
    ["/srv/dir/..", 400, "not-a-file"],
    ["/srv/fifo", 400, "not-a-file"],
    ["/srv/device", 400, "not-a-file"],
    ["/srv/real/below", 400, "bad-path"],
    ["/srv/loop", 403, "path-escape"],
    ["/proc/sys/x", 400, "bad-path"],
  ])("to %j is %i and changes nothing", async (path, status, slug) => {
    expect(await problemOf(await put(path, "x"))).toMatchObject({ status, slug });
    expect((await shell(sandbox, "ls -A /srv | grep atoll-upload; cat /srv/real")).stdout).toBe("target\n");
  });

  test("through a link that points out of the root lands inside it", async () => {
    await shell(sandbox, "ln -s ../../../../../../../tmp-out/file /srv/out; ln -s / /srv/whole");
    expect((await put("/srv/out", "in")).status).toBe(204);
    expect((await put("/srv/whole/whole-file", "in")).status).toBe(204);
    expect((await shell(sandbox, "cat /tmp-out/file /whole-file")).stdout).toBe("inin");
    expect((await shell(sandbox, "ls -A /tmp-out /whole-file", { container: "side" })).exitCode).not.toBe(0);
  });

  test("that is cut shows nothing and leaves nothing", async () => {
    await new Promise<void>((resolve) => {
      void sandbox.token().then((token) => {
        const headers = { authorization: `Bearer ${token}`, "content-length": "1000000" };
        const request = httpRequest({
          socketPath: sandbox.socketPath,
          path: "/v1/files?container=main&path=/srv/dir/cut",
          method: "PUT",
          headers,
        });
        request.on("error", () => resolve());
        request.write(Buffer.alloc(500_000), () => setTimeout(() => request.destroy(), 100));
      });
    });
    const left = await until(
      () => shell(sandbox, "ls -A /srv/dir"),
      ({ stdout }) => stdout === "",
    );
    expect(left.stdout).toBe("");
  });

  test("and GET of 256 MiB keep every byte", async () => {
    const block = randomBytes(MIB);
    const sent = createHash("sha256");
    const upload = Readable.from(
      (function* () {
        for (let index = 0; index < 256; index += 1) {
          block.writeUInt32LE(index, 0);
          const piece = Buffer.from(block);
          sent.update(piece);
          yield piece;
        }
      })(),
    );
    expect((await put("/srv/big", upload, "main", { "content-length": String(256 * MIB) })).status).toBe(204);
    const digest = sent.digest("hex");
    expect((await shell(sandbox, "sha256sum < /srv/big")).stdout.slice(0, 64)).toBe(digest);
    const received = createHash("sha256");
    const response = await get("/srv/big");
    expect(response.headers.get(FILE_SIZE_HEADER)).toBe(String(256 * MIB));
    for await (const piece of response.body ?? []) received.update(piece);
    expect(received.digest("hex")).toBe(digest);
  }, 90_000);
});

test("an upload in the middle of which the agent is killed leaves nothing", async () => {
  await shell(sandbox, "mkdir -p /srv/killed /data; chmod 777 /data; echo before > /srv/killed/file");
  const uploads = [put("/srv/killed/file", endless()), put("/data/side-file", endless(), "side")].map((each) =>
    each.catch(() => undefined),
  );
  const list = "ls -A /srv/killed; ls -A /data | grep atoll-upload";
  const half = await until(
    async () => `${(await shell(sandbox, list)).stdout}${(await shell(sandbox, list, { container: "side" })).stdout}`,
    (names) => names.match(/atoll-upload/g)?.length === 2,
  );
  expect(half).toContain("file\n");
  await killAgent(sandbox);
  await Promise.all(uploads);
  const left = await until(
    async () => `${(await shell(sandbox, list)).stdout}${(await shell(sandbox, list, { container: "side" })).stdout}`,
    (names) => !names.includes("atoll-upload"),
  );
  expect(left).toBe("file\n");
  expect(await text("/srv/killed/file")).toBe("before\n");
  expect((await put("/srv/killed/file", "after")).status).toBe(204);
  expect(await text("/srv/killed/file")).toBe("after");
}, 60_000);

/** A body that begins and never ends. */
function endless(): Readable {
  const body = new Readable({ read: () => undefined });
  body.push(Buffer.alloc(100_000));
  return body;
}
