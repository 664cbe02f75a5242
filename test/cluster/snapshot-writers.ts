import { snapshotState } from "#core/kubernetes/snapshot-state.ts";
import { SnapshotFailedError, type Sandbox } from "#sdk";
import { newName, run, type SnapshotStage } from "./snapshot-stage.ts";

/** A snapshot that was asked for, and how it is said to have ended. */
export interface Asked {
  readonly id: string;
  /** Of the record: it marks the manifest that the snapshot wrote. */
  readonly uid: string;
  readonly name: string;
  /** What the sandbox held at that moment. */
  readonly sum: string;
  readonly hasSucceeded: boolean;
  /** Why not. */
  readonly why?: string;
}

export interface WritersOptions {
  readonly writers: number;
  readonly snapshots: number;
  readonly timeoutSeconds: number;
}

/** What stands for the file that each writer changes. */
export const SUM = "sha1sum </srv/data";
/** Records stay for as long as the test looks at them. */
const TTL_SECONDS = 7200;

/**
 * Sandboxes that each have snapshots taken, one after the other. Every second one replaces what the
 * writer has under its own name, the others get names of their own. Answers all in the order of each writer.
 */
export async function writeSnapshots(
  stage: SnapshotStage,
  { writers, snapshots, timeoutSeconds }: WritersOptions,
): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  let begun = 0;
  const sandboxes = await Promise.all(Array.from({ length: writers }, () => stage.create()));

  async function ask(sandbox: Sandbox, name: string): Promise<void> {
    const sum = await run(sandbox, `head -c 300000 /dev/urandom >/srv/data; ${SUM}`);
    let id = "";
    const failure = await sandbox
      .snapshot({
        snapshotName: name,
        timeoutSeconds,
        ttlSecondsAfterFinished: TTL_SECONDS,
        onProgress: (snapshot) => void (id = snapshot.id),
      })
      .then(
        () => undefined,
        (error: unknown) => {
          if (error instanceof SnapshotFailedError) return error;
          throw error;
        },
      );
    const { uid = "" } = (await stage.record(id)).metadata;
    const why = failure === undefined ? {} : { why: failure.message };
    asked.push({ id, uid, name, sum, hasSucceeded: failure === undefined, ...why });
  }

  async function write(sandbox: Sandbox): Promise<void> {
    const own = newName();
    for (let turn = 0; begun < snapshots; turn += 1) {
      begun += 1;
      await ask(sandbox, turn % 2 === 0 ? own : newName());
    }
  }

  await Promise.all(sandboxes.map(write));
  return asked;
}

/** Everything about the records and the store that must not be, in a sentence each. */
export async function contradictions(stage: SnapshotStage, asked: readonly Asked[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  const standing = new Map<string, string>();
  for (const { name, uid, hasSucceeded } of asked) if (hasSucceeded) standing.set(name, uid);
  for (const { id, uid, name, hasSucceeded, why } of asked) {
    const { phase, result } = snapshotState(await stage.record(id));
    const manifest = await stage.store.manifest(name);
    if (phase !== (hasSucceeded ? "Succeeded" : "Failed")) wrong.push(`${id} ended twice: now it is ${phase}`);
    if (hasSucceeded && result?.writeId !== uid) wrong.push(`${id} names the write ${result?.writeId}, not ${uid}`);
    if (hasSucceeded && manifest?.writeId !== standing.get(name))
      wrong.push(`${name} is the write ${manifest?.writeId}, and ${standing.get(name)} was said to be the last`);
    if (!hasSucceeded && manifest?.writeId === uid) wrong.push(`${id} failed (${why}), and stands in the store`);
  }
  return wrong;
}
