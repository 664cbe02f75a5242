/** Where a store's credentials come from. They are never part of its URL. */
export type StoreCredentials =
  /** Whoever this process is: workload identity, the machine's role, or what the provider's own library finds. */
  | { readonly kind: "identity" }
  /** A folder with one file for each value, as a mounted secret has them. */
  | { readonly kind: "files"; readonly folder: string }
  | { readonly kind: "inline"; readonly values: CredentialValues }
  /** Nobody: emulators and public stores. */
  | { readonly kind: "none" };

/** Names of values, of files of a mounted secret and of environment variables. */
export const CREDENTIAL_NAMES = [
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AZURE_STORAGE_KEY",
  "GOOGLE_CREDENTIALS",
] as const;

export type CredentialName = (typeof CREDENTIAL_NAMES)[number];
export type CredentialValues = Readonly<Partial<Record<CredentialName, string | undefined>>>;

export interface CredentialSettings extends CredentialValues {
  readonly ATOLL_SNAPSHOT_CREDENTIALS_DIR?: string | undefined;
  readonly ATOLL_SNAPSHOT_ANONYMOUS: boolean;
}

/** A folder wins over single values, and both over the process's own identity. */
export function chooseCredentials(settings: CredentialSettings): StoreCredentials {
  if (settings.ATOLL_SNAPSHOT_ANONYMOUS) return { kind: "none" };
  const folder = settings.ATOLL_SNAPSHOT_CREDENTIALS_DIR;
  if (folder !== undefined) return { kind: "files", folder };
  const given = CREDENTIAL_NAMES.filter((name) => settings[name] !== undefined);
  if (given.length === 0) return { kind: "identity" };
  return { kind: "inline", values: Object.fromEntries(given.map((name) => [name, settings[name]])) };
}
