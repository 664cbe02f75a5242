import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "#core/log.ts";
import { mounterPid } from "../../../../../test/harness/mounter-pid.ts";
import { credentialFiles, untilReplaced } from "./credential-files.ts";
import { openMounter } from "./open-mounter.ts";
import { jailed } from "./mounter-jail.ts";

let home = "";
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "atoll-credentials-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

/** What a jailed program sees below the folder. */
async function seen(env: Readonly<Record<string, string>>, script = "find . ! -type d | sort"): Promise<string> {
  const { files, folders } = await credentialFiles(env);
  const jailDir = join(home, "jail");
  await mkdir(jailDir, { recursive: true });
  const plan = { jailDir, readable: [...files, ...folders], writable: [] };
  const [program = "", ...words] = jailed(plan, ["sh", "-c", `cd ${home}/box 2>/dev/null || exit 0; ${script}`]);
  return (await promisify(execFile)(program, words, { cwd: "/" })).stdout;
}

/** A folder as kubelet mounts a Secret. */
async function mountSecret(folder: string, token: string): Promise<void> {
  const version = join(folder, `..${token}`);
  await mkdir(version, { recursive: true });
  await writeFile(join(version, "token"), token);
  await symlink(`..${token}`, join(folder, "..data.new"));
  await rename(join(folder, "..data.new"), join(folder, "..data"));
  await symlink("..data/token", join(folder, "token")).catch(() => undefined);
}

describe("credentialFiles()", () => {
  test("names files alone, and the folders that are known to hold credentials", async () => {
    const env = {
      HOME: "/h",
      AWS_WEB_IDENTITY_TOKEN_FILE: "/run/t/token",
      GOOGLE_APPLICATION_CREDENTIALS: "/key.json",
      ATOLL_SNAPSHOT_CREDENTIALS_DIR: "/s",
      SSL_CERT_FILE: "x",
    };
    expect(await credentialFiles(env)).toEqual({
      files: ["/key.json", "/run/t/token"],
      folders: ["/s", "/h/.aws", "/h/.config/gcloud", "/h/.azure"],
    });
    expect(await credentialFiles({})).toEqual({ files: [], folders: [] });
  });

  test("lets nobody see what lies beside a file that is named, itself or by a link", async () => {
    await mkdir(join(home, "box/other"), { recursive: true });
    for (const name of ["key", "ssh-key", "other/token"]) await writeFile(join(home, "box", name), name);
    await symlink("other/token", join(home, "box/link"));
    const env = {
      AWS_SHARED_CREDENTIALS_FILE: join(home, "box/key"),
      AZURE_FEDERATED_TOKEN_FILE: join(home, "box/link"),
    };
    expect(await seen(env)).toBe("./key\n./link\n");
    expect(await seen(env, "cat key link")).toBe("keyother/token");
    expect(await seen({ AWS_CONFIG_FILE: join(home, "box") }, "find .")).toBe("");
  });

  test("keeps a mounted Secret whole, whose files are replaced together", async () => {
    await mountSecret(join(home, "box"), "one");
    const env = { AWS_WEB_IDENTITY_TOKEN_FILE: join(home, "box/token") };
    expect((await credentialFiles(env)).files).toEqual([]);
    expect(await seen(env, "cat token")).toBe("one");
    await mountSecret(join(home, "box"), "two");
    expect(await seen(env, "cat token")).toBe("two");
  });
});

describe("untilReplaced()", () => {
  test.each<readonly [string, (file: string) => Promise<void>]>([
    ["takes the place of one", (file) => rename(`${file}.new`, file)],
    ["comes where none was", (file) => rename(`${file}.new`, `${file}.absent`)],
  ])("ends when another file %s, and not when one is written", async (_, replace) => {
    const file = join(home, "file");
    for (const path of [file, `${file}.new`]) await writeFile(path, "old");
    const happens = [async () => undefined, () => writeFile(file, "written"), () => replace(file)];
    let slept = 0;
    const sleep = async (): Promise<void> => happens[slept++]?.();
    await untilReplaced([file, `${file}.absent`], { now: () => 0, sleep }, new AbortController().signal);
    expect(slept).toBe(3);
  });
});

describe("openMounter()", () => {
  test("has the mounter see a file of credentials that was replaced", { timeout: 60_000 }, async () => {
    const file = join(home, "key.json");
    await writeFile(file, "one");
    const snapshots = {
      store: `file://${home}/store`,
      namespace: "team",
      cacheBytes: 2 ** 20,
      mostTarBytes: 2 ** 20,
      env: { PATH: process.env["PATH"] ?? "", GOOGLE_APPLICATION_CREDENTIALS: file },
    };
    const place = { homeDir: home, runDir: join(home, "run"), diskReserveBytes: 0, snapshots };
    const mounter = await openMounter(place, { log: silentLog, random: Math.random });
    try {
      const read = async (): Promise<string> => {
        const starter = mounterPid(process.pid) ?? 0;
        const jailed = await readFile(`/proc/${starter}/task/${starter}/children`, "utf8").catch(() => "");
        return readFile(`/proc/${jailed.trim()}/root${file}`, "utf8").catch(() => "");
      };
      expect(await read()).toBe("one");
      await writeFile(`${file}.new`, "two");
      await rename(`${file}.new`, file);
      await expect.poll(read, { timeout: 40_000 }).toBe("two");
      expect(
        await mounter.find(
          { namespace: "team", name: "none" },
          { signal: AbortSignal.timeout(20_000), log: silentLog },
        ),
      ).toEqual({
        kind: "absent",
      });
    } finally {
      await mounter.close();
    }
  });
});
