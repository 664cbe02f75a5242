import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Runs pytest over one folder in a virtual environment of its own with that folder's pinned
 * requirements: `node test/run-python.ts test/e2e [pytest options]`.
 */
const [folder = "", ...options] = process.argv.slice(2);
const root = join(import.meta.dirname, "..");
const requirements = join(root, folder, "requirements.txt");
const venv = join(root, ".atoll", `venv-${folder.replaceAll("/", "-")}`);
const python = join(venv, "bin/python");
const stamp = join(venv, "requirements.sha256");

const version = execFileSync("python3", ["--version"], { encoding: "utf8" });
const wanted = createHash("sha256").update(version).update(readFileSync(requirements)).digest("hex");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) install();

const pytest = ["-m", "pytest", "--color=no", "-p", "no:cacheprovider", ...options];
const { status } = spawnSync(python, pytest, { cwd: join(root, folder), stdio: ["ignore", "inherit", "inherit"] });
process.exitCode = status ?? 1;

function install(): void {
  rmSync(venv, { recursive: true, force: true });
  mkdirSync(join(root, ".atoll"), { recursive: true });
  if (!makeVenv()) {
    // Debian parts the module from Python itself.
    run("apt-get", ["install", "-y", "--no-install-recommends", "python3-venv"]);
    rmSync(venv, { recursive: true, force: true });
    if (!makeVenv()) throw new Error("python3 cannot make a virtual environment; install python3-venv");
  }
  run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements]);
  writeFileSync(stamp, wanted);
}

function makeVenv(): boolean {
  return spawnSync("python3", ["-m", "venv", venv], { stdio: "ignore" }).status === 0;
}

function run(program: string, words: readonly string[]): void {
  execFileSync(program, words, {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}
