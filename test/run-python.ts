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

const version = pythonVersion() ?? (installPython(), pythonVersion());
if (version === undefined) throw new Error("The suite needs python3 with python3-venv");
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
    installPython();
    rmSync(venv, { recursive: true, force: true });
    if (!makeVenv()) throw new Error("python3 cannot make a virtual environment; install python3-venv");
  }
  run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements]);
  writeFileSync(stamp, wanted);
}

function pythonVersion(): string | undefined {
  const { status: code, stdout } = spawnSync("python3", ["--version"], { encoding: "utf8" });
  return code === 0 ? stdout : undefined;
}

function installPython(): void {
  // Some list may be out of reach while the packages are not.
  spawnSync("apt-get", ["-o", "DPkg::Lock::Timeout=300", "update"], { stdio: ["ignore", "inherit", "inherit"] });
  const patience = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];
  run("apt-get", [...patience, "install", "-y", "--no-install-recommends", "python3", "python3-venv"]);
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
