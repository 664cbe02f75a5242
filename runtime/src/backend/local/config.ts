import type { ImageStoreConfig } from "./image-store.ts";
import type { NetConfig } from "./network.ts";

export interface SnapshotConfig {
  /** URL of the store, without credentials. */
  readonly store: string;
  /** Under which all snapshots of this machine lie there. */
  readonly namespace: string;
  /** Most bytes of packed layers that are kept at hand. */
  readonly cacheBytes: number;
  /** Most bytes of a snapshot, unpacked. */
  readonly mostTarBytes: number;
  /** Environment of the program that speaks to the store: credentials, proxies, certificates. */
  readonly env: Readonly<Record<string, string>>;
}

/** Settings of the local backend; sizes in bytes, times in milliseconds. Parsed once from the environment by an entry. */
export interface LocalConfig {
  /** Everything durable lies here: programs, images, records. */
  readonly homeDir: string;
  /** Control sockets and agent sockets; gone after a reboot, like the sandboxes. At most 60 characters. */
  readonly runDir: string;
  readonly runscPath: string;
  /** gVisor's way to intercept system calls. */
  readonly platform: "systrap" | "kvm" | "ptrace";
  /** Booted sandboxes without containers, kept ready. */
  readonly poolSize: number;
  /** Most sandboxes at once; one more is `capacity-exhausted`. */
  readonly maxSandboxes: number;
  /** Sandboxes that start at the same time; more wait their turn. */
  readonly startConcurrency: number;
  /** Disk for a container without an ephemeral-storage limit. */
  readonly defaultStorageBytes: number;
  /** Free disk of the machine below which the sandbox that takes the most is ended. */
  readonly diskReserveBytes: number;
  /** Disk for the output of commands, per sandbox, on top of the containers' own. */
  readonly journalBudgetBytes: number;
  /** Memory on top of the sandbox's own limits: the agent's and the sandbox kernel's. */
  readonly overheadMemoryBytes: number;
  /** Most tasks of one container inside the sandbox. */
  readonly pidsLimit: number;
  readonly net: NetConfig;
  readonly images: Omit<ImageStoreConfig, "dir">;
  readonly snapshots: SnapshotConfig;
  /** How long the record of an ended sandbox stays readable. */
  readonly retentionMs: number;
  /** Image references that stand for others: `python:3.12-slim` -> `atoll/debian`. */
  readonly imageAliases: Readonly<Record<string, string>>;
}
