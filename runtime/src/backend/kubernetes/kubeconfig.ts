import * as z from "zod";

/** Text given in the file itself, in base64, or the path of a file that has it. */
export type Material =
  | { readonly kind: "inline"; readonly base64: string }
  | { readonly kind: "file"; readonly path: string };

/** What a kubeconfig's current context says: where the API server is, and who asks it. */
export interface KubeContext {
  readonly server: string;
  readonly isInsecure: boolean;
  /** Name that the server's certificate must have, where it is not the address's. */
  readonly serverName?: string;
  readonly authority?: Material;
  readonly certificate?: Material;
  readonly key?: Material;
  readonly token?:
    | { readonly kind: "inline"; readonly text: string }
    | { readonly kind: "file"; readonly path: string };
}

const Cluster = z.looseObject({
  server: z.url(),
  "certificate-authority": z.string().optional(),
  "certificate-authority-data": z.string().optional(),
  "insecure-skip-tls-verify": z.boolean().optional(),
  "tls-server-name": z.string().optional(),
  "proxy-url": z.string().optional(),
});
const User = z.looseObject({
  "client-certificate": z.string().optional(),
  "client-certificate-data": z.string().optional(),
  "client-key": z.string().optional(),
  "client-key-data": z.string().optional(),
  token: z.string().optional(),
  tokenFile: z.string().optional(),
});
const Name = z.string();
const File = z.looseObject({
  "current-context": Name,
  clusters: z.array(z.looseObject({ name: Name, cluster: z.unknown() })).default([]),
  users: z.array(z.looseObject({ name: Name, user: z.unknown() })).default([]),
  contexts: z.array(z.looseObject({ name: Name, context: z.looseObject({ cluster: Name, user: Name }) })).default([]),
});

/** Ways to log in that need a program or a library of their own: not here. */
const FOREIGN = ["exec", "auth-provider", "username"];

/** Reads a parsed kubeconfig; throws one sentence that says what is wrong. */
export function readKubeconfig(content: unknown): KubeContext {
  const file = parse(File, content, "the file");
  const name = file["current-context"];
  const { context } = find(file.contexts, "context", name);
  const { cluster: given } = find(file.clusters, "cluster", context.cluster);
  const cluster = parse(Cluster, given, `cluster "${context.cluster}"`);
  const user = parse(User, find(file.users, "user", context.user).user, `user "${context.user}"`);
  const foreign = FOREIGN.find((member) => member in user);
  if (foreign !== undefined)
    throw fault(`user "${context.user}" logs in by ${foreign}; the gateway takes client certificates and tokens`);
  if (cluster["proxy-url"] !== undefined) throw fault(`cluster "${context.cluster}" is behind a proxy`);
  return {
    server: cluster.server,
    isInsecure: cluster["insecure-skip-tls-verify"] ?? false,
    ...defined({
      serverName: cluster["tls-server-name"],
      authority: materialOf(cluster["certificate-authority-data"], cluster["certificate-authority"]),
      certificate: materialOf(user["client-certificate-data"], user["client-certificate"]),
      key: materialOf(user["client-key-data"], user["client-key"]),
      token: tokenOf(user),
    }),
  };
}

function parse<T extends z.ZodType>(schema: T, value: unknown, what: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw fault(`${what}: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`);
}

function find<T extends { readonly name: string }>(list: readonly T[], what: string, name: string): T {
  const found = list.find((entry) => entry.name === name);
  if (found === undefined) throw fault(`there is no ${what} "${name}"`);
  return found;
}

/** A file may be renewed, so it wins. */
function tokenOf({ token, tokenFile }: z.infer<typeof User>): KubeContext["token"] {
  if (tokenFile !== undefined) return { kind: "file", path: tokenFile };
  return token === undefined ? undefined : { kind: "inline", text: token };
}

/** What stands in the file itself wins, as it does for every client of Kubernetes. */
function materialOf(base64: string | undefined, path: string | undefined): Material | undefined {
  if (base64 !== undefined) return { kind: "inline", base64 };
  return path === undefined ? undefined : { kind: "file", path };
}

function fault(words: string): RangeError {
  return new RangeError(`Cannot use the kubeconfig: ${words}`);
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function defined<T extends object>(members: T): Defined<T> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Defined<T>;
}
