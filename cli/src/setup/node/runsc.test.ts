import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "#core/log.ts";
import type { SetupContext } from "../step.ts";
import { downloadRunsc } from "./runsc-download.ts";
import { runscPath, runscStep } from "./runsc.ts";

const ARCHITECTURE = process.arch === "arm64" ? "aarch64" : "x86_64";
let home: string;
let context: SetupContext;
let server: Server;
let releasesUrl: string;
const served = new Map<string, { status: number; body: string }>();

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "atoll-runsc-"));
  context = { home, repo: home, progress: () => {}, signal: new AbortController().signal, log: silentLog };
  served.clear();
  server = createServer((request, response) => {
    const found = served.get(request.url ?? "") ?? { status: 404, body: "" };
    response.writeHead(found.status).end(found.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  releasesUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  server.close();
  await rm(home, { recursive: true });
});

/** A stand-in that answers `--version` as runsc does. */
const program = (release: string): string => `#!/bin/sh\necho "runsc version ${release}"\necho "spec: 1.2.1"\n`;

async function install(release: string): Promise<string> {
  const dir = await mkdtemp(join(home, "path-"));
  await writeFile(join(dir, "runsc"), program(release));
  await chmod(join(dir, "runsc"), 0o755);
  return dir;
}

function publish(body: string, hash = createHash("sha512").update(body).digest("hex")): void {
  served.set(`/${ARCHITECTURE}/runsc`, { status: 200, body });
  served.set(`/${ARCHITECTURE}/runsc.sha512`, { status: 200, body: `${hash}  runsc\n` });
}

describe("runscStep()", () => {
  test("takes a new enough runsc of the search path", async () => {
    const searchPath = [await install("release-20260101.0"), await install("release-20261001.0")].join(":");
    const step = runscStep({ releasesUrl, searchPath });
    expect(await step.check(context)).toEqual({ needed: true, reason: "runsc is not installed" });
    await step.run(context);
    expect(await step.check(context)).toEqual({ needed: false, reason: "release-20261001.0" });
  });

  test("downloads the release when the search path has an old one only", async () => {
    publish(program("release-20261101.0"));
    const step = runscStep({ releasesUrl, searchPath: await install("release-20260101.0") });
    await step.run(context);
    expect(await step.check(context)).toEqual({ needed: false, reason: "release-20261101.0" });
    expect(await readdir(join(home, "bin"))).toEqual(["runsc"]);
  });

  test("refuses an old one that is installed already and replaces it", async () => {
    await mkdir(join(home, "bin"));
    await writeFile(runscPath(home), program("release-20260101.0"), { mode: 0o755 });
    publish(program("release-20261101.0"));
    const step = runscStep({ releasesUrl, searchPath: "" });
    expect(await step.check(context)).toEqual({
      needed: true,
      reason: "runsc is refused: release-20260101.0 is older than release-20260820",
    });
    await step.run(context);
    expect(await readFile(runscPath(home), "utf8")).toContain("20261101");
  });

  test("does not install a download that is too old", async () => {
    publish(program("release-20260101.0"));
    const step = runscStep({ releasesUrl, searchPath: "" });
    await expect(step.run(context)).rejects.toThrow(
      "The new runsc cannot be used: release-20260101.0 is older than release-20260820.",
    );
    expect((await step.check(context)).needed).toBe(true);
  });
});

describe("downloadRunsc()", () => {
  test("refuses a file that does not match its checksum, and keeps nothing of it", async () => {
    publish("tampered", createHash("sha512").update("original").digest("hex"));
    const file = join(home, "part");
    await expect(downloadRunsc(releasesUrl, file, context)).rejects.toThrow("does not match its published checksum");
    expect(await readdir(home)).toEqual([]);
  });

  test("refuses a missing and an unreadable checksum", async () => {
    await expect(downloadRunsc(releasesUrl, join(home, "part"), context)).rejects.toThrow("answers with status 404");
    served.set(`/${ARCHITECTURE}/runsc.sha512`, { status: 200, body: "<html>" });
    await expect(downloadRunsc(releasesUrl, join(home, "part"), context)).rejects.toThrow("holds no checksum of runsc");
  });
});
