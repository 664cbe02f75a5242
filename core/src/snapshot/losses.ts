import type { SnapshotWarning } from "#api/snapshot-manifest.ts";
import { fromHex } from "../hex.ts";
import { showPath } from "./show-path.ts";

/** What a look into a container found that no snapshot of it holds, though nothing in the snapshot shows it. */
export interface Losses {
  readonly warnings: readonly SnapshotWarning[];
  /** Of the folder `/`. */
  readonly root: { readonly mode: number; readonly uid: number; readonly gid: number };
}

/** More than the longest true answer has. */
export const MOST_LOSSES_BYTES = 32 * 1024;

const KINDS = [
  {
    kind: "sockets",
    code: "SocketsLeftOut",
    message: "Sockets are left out: a program that listens on one makes it anew when it starts.",
  },
  {
    kind: "attributes",
    code: "AttributesLeftOut",
    message:
      'Extended attributes are left out of which the value is empty or no UTF-8, or the name is no UTF-8 or has a "=".',
  },
  {
    kind: "capabilities",
    code: "CapabilitiesLeftOut",
    message: "File capabilities are left out that gVisor cannot store: after a restore they have to be set anew.",
  },
] as const;

const FOUND = /^([a-z]+) (\d{1,15})((?: (?:[0-9a-f]{2}){1,256}){0,5})$/;
const ROOT = /^root ([0-7]{1,4}) (\d{1,10}) (\d{1,10})$/;
const END = /^end (\d{1,15}) (\d{1,15}) ([01])$/;

/**
 * The answer of the agent's look (`sidecar/native/atoll-losses.c`); undefined when it is none. It comes
 * out of a sandbox, so it is believed only as far as its form goes: a hint, and of bounded length.
 */
export function parseLosses(text: string): Losses | undefined {
  const lines = text.split("\n");
  if (text.length > MOST_LOSSES_BYTES || lines.length !== KINDS.length + 3 || lines.at(-1) !== "") return undefined;
  const warnings: SnapshotWarning[] = [];
  for (const [index, { kind, code, message }] of KINDS.entries()) {
    const [, said, digits, hex = ""] = FOUND.exec(lines[index] ?? "") ?? [];
    const examples = hex.split(" ").slice(1).map(shownPath);
    const count = Number(digits);
    if (said !== kind || examples.length > count) return undefined;
    if (count > 0) warnings.push({ code, message, count, examples });
  }
  const root = ROOT.exec(lines[KINDS.length] ?? "");
  const end = END.exec(lines[KINDS.length + 1] ?? "");
  if (root === null || end === null) return undefined;
  const [, looked, missed, late] = end.map(Number);
  if (late === 1) warnings.push(unknown(`after ${looked} paths its time was over`));
  else if (missed !== undefined && missed > 0)
    warnings.push(unknown(`${missed} of its folders and files could not be`));
  const [, mode = "", uid, gid] = root;
  return { warnings, root: { mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid) } };
}

/** Nobody looked, and why: a sentence's end. */
export function lossesUnknown(why: string): SnapshotWarning {
  return warningOf(`Nobody could look for sockets, attributes and file capabilities that are left out: ${why}.`);
}

/** Where a restore leaves the folder `/` as the image has it: a warning when it is not as nearly all images have it. */
export function rootWarning({ mode, uid, gid }: Losses["root"]): SnapshotWarning | undefined {
  if (mode === 0o755 && uid === 0 && gid === 0) return undefined;
  const message = `The folder "/" has the mode ${mode.toString(8)} and the owner ${uid}:${gid}; restored, it has those of the image.`;
  return { code: "RootFolderNotKept", message, count: 1, examples: ["/"] };
}

function unknown(what: string): SnapshotWarning {
  return warningOf(
    `Not all of the container was looked at for sockets, attributes and file capabilities that are left out: ${what}.`,
  );
}

function warningOf(message: string): SnapshotWarning {
  return { code: "LossesUnknown", message, count: 1, examples: [] };
}

function shownPath(hex: string): string {
  return showPath(String.fromCharCode(...(fromHex(hex) ?? [])));
}
