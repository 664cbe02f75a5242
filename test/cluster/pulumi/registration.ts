/** A resource as the program registers it with the engine. */
export interface Registration {
  readonly urn: string;
  /** `package:module:Type`. */
  readonly type: string;
  readonly name: string;
  readonly custom: boolean;
  readonly inputs: Record<string, unknown>;
  /** Paths of secret inputs. */
  readonly secrets: readonly string[];
  /** What must be made before and destroyed after this. */
  readonly dependencies: readonly string[];
  readonly parent: string;
  /** `urn::id` of the provider; empty for the default one. */
  readonly provider: string;
  readonly retainOnDelete: boolean;
  readonly ignoreChanges: readonly string[];
  /** Paths that the cluster never changes in an object that exists: a change there makes a new one. */
  readonly replaceOnChanges: readonly string[];
  readonly deleteBeforeReplace: boolean;
  /** How long its removal may take, as Pulumi writes times; empty = the default. */
  readonly deleteTimeout: string;
  /** The same for an update. */
  readonly updateTimeout: string;
}

/** What the engine does with each registration; resolves to the resource's state. */
export type Register = (registration: Registration) => Promise<Record<string, unknown>>;
