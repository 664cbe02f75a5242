import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CredentialName, StoreCredentials } from "../store-credentials.ts";
import { StoreError } from "../store-error.ts";

export type GivenCredentials = Extract<StoreCredentials, { kind: "files" | "inline" }>;

/** Values by name. A missing one that is needed is one sentence; the values themselves are never told. */
export async function readCredentialValues<Name extends CredentialName, Extra extends CredentialName = never>(
  credentials: GivenCredentials,
  names: { readonly needed: readonly Name[]; readonly optional?: readonly Extra[] },
): Promise<Record<Name, string> & Partial<Record<Extra, string>>> {
  const values: Record<string, string> = {};
  for (const name of [...names.needed, ...(names.optional ?? [])]) {
    const value = await readValue(credentials, name);
    if (value !== undefined) values[name] = value;
  }
  const missing = names.needed.filter((name) => values[name] === undefined);
  if (missing.length === 0) return values as Record<Name, string> & Partial<Record<Extra, string>>;
  const place = credentials.kind === "files" ? `files in ${credentials.folder}` : "values";
  throw new StoreError(
    "denied",
    `Cannot use the store's credentials: ${missing.join(" and ")} are needed as ${place}.`,
  );
}

async function readValue(credentials: GivenCredentials, name: CredentialName): Promise<string | undefined> {
  const text =
    credentials.kind === "inline"
      ? credentials.values[name]
      : await readFile(join(credentials.folder, name), "utf8").catch(() => undefined);
  return text?.trim() || undefined;
}
