import { StoreError } from "./store-error.ts";
import { checkKey } from "./store-key.ts";

/** Where objects lie, and how far the store is trusted. Credentials are given apart. */
export type StoreLocation = StorePlace & {
  /** What was uploaded is read back and compared, though the store has checked every part of it. */
  readonly readsBack?: true;
};

type StorePlace =
  | { readonly kind: "folder"; readonly path: string }
  | {
      readonly kind: "s3";
      readonly bucket: string;
      readonly prefix: string;
      /** Absent = what the environment of the SDK says. */
      readonly region?: string;
      /** Origin of a server other than AWS's. */
      readonly endpoint?: string;
      /** The bucket is the path's first segment, not part of the host. */
      readonly pathStyle: boolean;
    }
  | { readonly kind: "gcs"; readonly bucket: string; readonly prefix: string; readonly endpoint?: string }
  | {
      readonly kind: "azure";
      readonly container: string;
      readonly prefix: string;
      readonly account: string;
      /** URL of the account, without a slash at its end. */
      readonly endpoint: string;
    };

const EXAMPLES =
  "s3://bucket/prefix?region=eu-west-1, gs://bucket/prefix, azblob://container/prefix?account=name or file:///folder";
const BUCKET = /^[a-z0-9][a-z0-9._-]{1,221}$/;
const ACCOUNT = /^[a-z0-9]{3,24}$/;
const DOMAIN = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const REGION = /^[a-z0-9-]{1,64}$/;
/** Settings of a URL that would be a secret, under the names that clients know. */
const SECRET = /key|secret|token|password|signature|^sig$|^access_id$|credential/i;

/** Reads the URL of a store; a wrong one is one sentence that says what would be right. */
export function parseStoreUrl(text: string): StoreLocation {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw wrong(`it is no URL; right are ${EXAMPLES}`);
  // Taken for a folder of the root otherwise.
  if (/^\s*file:[^/]/i.test(text)) throw wrong("a folder's path begins at the root; right is file:///folder");
  if (url.username !== "" || url.password !== "") throw wrong("credentials do not belong into it; give them apart");
  if (url.hash !== "") throw wrong("it has a # part; leave that out");
  const settings = new Settings(url.searchParams);
  const place = readPlace(url, settings);
  const readsBack = settings.flag("read_back");
  settings.refuseRest(url.protocol);
  return readsBack ? { ...place, readsBack } : place;
}

function readPlace(url: URL, settings: Settings): StorePlace {
  switch (url.protocol) {
    case "file:":
      return { kind: "folder", path: readPath(url) };
    case "s3:":
      return readS3(url, settings);
    case "gs:":
      return { kind: "gcs", bucket: readBucket(url), prefix: readPrefix(url, settings), ...readEndpoint(settings) };
    case "azblob:":
      return readAzure(url, settings);
    default:
      throw wrong(`${url.protocol}// is no kind of store; right are ${EXAMPLES}`);
  }
}

function readS3(url: URL, settings: Settings): StorePlace {
  const region = settings.match("region", REGION, "the name of a region, such as eu-west-1");
  // Said by clients of the same URLs to choose among their own libraries.
  settings.match("awssdk", /^v[12]$/, "v2");
  return {
    kind: "s3",
    bucket: readBucket(url),
    prefix: readPrefix(url, settings),
    ...(region === undefined ? {} : { region }),
    ...readEndpoint(settings, { isPlain: settings.flag("disable_https", "disableSSL") }),
    pathStyle: settings.flag("path_style", "use_path_style", "s3ForcePathStyle"),
  };
}

function readAzure(url: URL, settings: Settings): StorePlace {
  const account = settings.match("account", ACCOUNT, "3 to 24 letters and digits", "storage_account");
  if (account === undefined) throw wrong("it names no storage account; add ?account=NAME");
  const protocol = settings.match("protocol", /^https?$/, "http or https") ?? "https";
  const domain = settings.match("domain", DOMAIN, "the domain of accounts") ?? "blob.core.windows.net";
  const { endpoint = `${protocol}://${account}.${domain}` } = readEndpoint(settings);
  return { kind: "azure", container: readBucket(url), prefix: readPrefix(url, settings), account, endpoint };
}

function readBucket({ hostname, port }: URL): string {
  if (port === "" && BUCKET.test(hostname)) return hostname;
  throw wrong(`${JSON.stringify(hostname)} is no name of a bucket or container`);
}

function readPrefix({ pathname }: URL, settings: Settings): string {
  const path = trimmed(decoded(pathname));
  const said = trimmed(settings.take("prefix") ?? "");
  if (path !== "" && said !== "") throw wrong("it gives a prefix twice; give it in the path alone");
  const prefix = path || said;
  if (prefix === "") return prefix;
  try {
    checkKey("the store", prefix);
  } catch (error) {
    throw wrong(`its prefix is not usable: ${error instanceof Error ? error.message.replace(/\.$/, "") : "no key"}`);
  }
  return prefix;
}

function readPath(url: URL): string {
  const path = decoded(url.pathname);
  if (url.hostname !== "") throw wrong(`a folder is of this machine; right is file:///${url.hostname}${url.pathname}`);
  if (path === "/" || path.includes("\0")) throw wrong("it names no folder; right is file:///folder");
  return path.replace(/\/+$/, "");
}

function readEndpoint(settings: Settings, { isPlain = false } = {}): { endpoint?: string } {
  const text = settings.take("endpoint");
  if (text === undefined) {
    if (isPlain) throw wrong("disable_https needs an endpoint");
    return {};
  }
  const full = /^[a-z]+:\/\//.test(text) ? text : `${isPlain ? "http" : "https"}://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  const isClean =
    url !== undefined && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (!isClean || !/^https?:$/.test(url.protocol)) throw wrong("endpoint has to be like https://host:port");
  return { endpoint: full.replace(/\/+$/, "") };
}

function decoded(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    throw wrong("its path has a % that is no escape");
  }
}

function trimmed(path: string): string {
  return path.replace(/^\/+|\/+$/g, "");
}

function wrong(why: string): StoreError {
  return new StoreError("invalid", `Cannot use the store's URL: ${why}.`);
}

/** Settings behind the `?`: each is read once under one of its names, and none is left over. */
class Settings {
  readonly #left: Map<string, string>;
  readonly #known: string[] = [];

  constructor(params: URLSearchParams) {
    this.#left = new Map(params);
    const names = [...params.keys()];
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (twice !== undefined) throw wrong(`it gives ${twice} twice`);
  }

  take(...names: readonly string[]): string | undefined {
    this.#known.push(names[0] ?? "");
    const given = names.filter((name) => this.#left.has(name));
    if (given.length > 1) throw wrong(`it gives the same thing as ${given.join(" and ")}`);
    const value = this.#left.get(given[0] ?? "");
    this.#left.delete(given[0] ?? "");
    return value;
  }

  match(name: string, pattern: RegExp, right: string, ...aliases: readonly string[]): string | undefined {
    const value = this.take(name, ...aliases);
    if (value !== undefined && !pattern.test(value)) throw wrong(`${name} has to be ${right}`);
    return value;
  }

  flag(...names: readonly string[]): boolean {
    const value = this.take(...names);
    if (value !== undefined && value !== "true" && value !== "false")
      throw wrong(`${names[0]} has to be true or false`);
    return value === "true";
  }

  refuseRest(protocol: string): void {
    const [name] = this.#left.keys();
    if (name === undefined) return;
    if (SECRET.test(name)) throw wrong(`${name} looks like a credential, which does not belong into it; give it apart`);
    const known = this.#known.length === 0 ? "no settings" : this.#known.join(", ");
    throw wrong(`${protocol}// knows no setting ${JSON.stringify(name)}; it knows ${known}`);
  }
}
