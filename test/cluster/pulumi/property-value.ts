/** How Pulumi marks a value that is more than data; the protocol fixes these. */
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
const OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

export interface PlainProperties {
  readonly value: Record<string, unknown>;
  /** Paths of what was marked secret. */
  readonly secrets: readonly string[];
}

/** The data in what a program sent; a value that is not known yet is a fault, as nothing waits for it here. */
export function plainProperties(properties: Record<string, unknown>): PlainProperties {
  const secrets: string[] = [];
  const walk = (value: unknown, path: string): unknown => {
    if (Array.isArray(value)) return value.map((item, at) => walk(item, `${path}[${at}]`));
    if (typeof value !== "object" || value === null) return value;
    const fields = value as Record<string, unknown>;
    if (fields[SIGNATURE] === SECRET) {
      secrets.push(path);
      return walk(fields["value"], path);
    }
    if (fields[SIGNATURE] === OUTPUT) {
      if (fields["secret"] === true) secrets.push(path);
      return walk(fields["value"], path);
    }
    if (SIGNATURE in fields) throw new Error(`${path} is neither data nor secret`);
    return Object.fromEntries(
      Object.entries(fields).map(([key, item]) => [key, walk(item, path === "" ? key : `${path}.${key}`)]),
    );
  };
  return { value: walk(properties, "") as Record<string, unknown>, secrets };
}
