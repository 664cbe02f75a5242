import { execFile, execFileSync } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { BOX, createLayout, type Layout } from "#testbed/layout.ts";
import { findBox } from "#testbed/node/box.ts";
import { createBoxControl, type BoxControl } from "#testbed/node/box-control.ts";

const ATOLL = join(import.meta.dirname, "../../atoll");
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const RENEW_MS = 120_000;

/** The testbed that is up, as tests use it. */
export interface Testbed {
  readonly layout: Layout;
  readonly kubeconfig: string;
  /** Kills, stops and starts the components of the node. */
  readonly control: BoxControl;
  /** Standard output of kubectl as administrator; throws with what it said when it fails. */
  kubectl(words: readonly string[], input?: object): Promise<string>;
  /** Standard output of a program that runs on the node as root, in all of its namespaces. */
  onNode(command: readonly string[]): string;
}

/** The testbed that is up; `./atoll test` brings it up before each suite that needs it. */
export async function openTestbed(): Promise<Testbed> {
  const box = await findBox();
  if (box === undefined) throw new Error("The testbed is not up; start it with ./atoll testbed up");
  const layout = createLayout(box.root);
  const { kubeconfig } = layout;
  return {
    layout,
    kubeconfig,
    control: createBoxControl(layout),
    async kubectl(words, input) {
      const stdin = input === undefined ? [] : ["-f", "-"];
      const running = promisify(execFile)(
        join(layout.bin, "kubectl"),
        [`--kubeconfig=${kubeconfig}`, ...words, ...stdin],
        { maxBuffer: MAX_OUTPUT_BYTES },
      );
      running.child.stdin?.end(input === undefined ? "" : JSON.stringify(input));
      return (await running).stdout;
    },
    onNode: (command) =>
      execFileSync("nsenter", [`--target=${box.pid}`, "--all", "--", "env", `PATH=${BOX.searchPath}`, ...command], {
        encoding: "utf8",
        maxBuffer: MAX_OUTPUT_BYTES,
      }),
  };
}

/** Takes the testbed down and brings another up in its place, empty. */
export async function renewTestbed({ root }: Layout): Promise<void> {
  const env = { ...process.env, ATOLL_TESTBED_HOME: root };
  for (const action of ["down", "up"])
    await promisify(execFile)(ATOLL, ["testbed", action], { env, timeout: RENEW_MS });
}
