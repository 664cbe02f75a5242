import type { KubeFetch, Resource } from "#core/kubernetes/client.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";

type Json = Readonly<Record<string, unknown>>;
type Metadata = KubeObject["metadata"];

interface Target {
  readonly plural: string;
  readonly name?: string;
}

/**
 * As much of an API server as a backend's writes need: objects of any kind in one namespace with
 * versions, merge patches that name one, and removals that finalizers hold. Watches tell everything
 * at once unless they are held back.
 */
export class ModelKube {
  readonly requests: string[] = [];
  /** Called before each write is looked at: what somebody else does first. */
  beforeWrite: (method: string, target: Target) => void = () => undefined;
  /** What the API server's clock says. */
  nowText = "2026-11-01T10:00:00Z";
  isHeldBack = false;
  private version = 10;
  private uids = 0;
  private readonly objects = new Map<string, KubeObject>();
  private readonly watches = new Map<string, Set<ReadableStreamDefaultController<Uint8Array>>>();

  readonly fetch: KubeFetch = async (path, { method = "GET", body }) => {
    const url = new URL(path, "http://model");
    const [, plural = "", name] = /\/namespaces\/[^/]+\/([^/]+)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    const target = { plural, ...(name === undefined ? {} : { name }) };
    if (url.searchParams.has("watch")) return this.open(plural);
    this.requests.push(`${method} ${plural}${name === undefined ? "" : `/${name}`}`);
    if (method !== "GET") this.beforeWrite(method, target);
    return this.answer(method, target, typeof body === "string" ? (JSON.parse(body) as Json) : {});
  };

  find<T extends KubeObject>({ plural }: Resource<T>, name: string): T | undefined {
    return this.objects.get(`${plural}/${name}`) as T | undefined;
  }

  /** Writes an object past all rules, as another program does; answers what is kept. */
  put<T extends KubeObject>({ plural }: Pick<Resource<T>, "plural">, object: T): T {
    const before = this.objects.get(`${plural}/${object.metadata.name}`);
    const { uid = before?.metadata.uid ?? `uid-${(this.uids += 1)}` } = object.metadata;
    const { creationTimestamp = this.nowText } = object.metadata;
    return this.keep(plural, { ...object, metadata: { ...object.metadata, uid, creationTimestamp } });
  }

  drop({ plural }: Pick<Resource<KubeObject>, "plural">, name: string): void {
    const gone = this.objects.get(`${plural}/${name}`);
    if (gone === undefined) return;
    this.objects.delete(`${plural}/${name}`);
    this.version += 1;
    this.tell(plural, "DELETED", { ...gone, metadata: { ...gone.metadata, resourceVersion: String(this.version) } });
  }

  private answer(method: string, { plural, name }: Target, body: Json): Response {
    if (name === undefined) return method === "POST" ? this.create(plural, body) : this.list(plural);
    const known = this.objects.get(`${plural}/${name}`);
    if (known === undefined) return status(404, "NotFound");
    if (method === "PATCH") return this.patch(plural, known, body["metadata"] as Partial<Metadata>);
    return method === "DELETE" ? this.remove(plural, known, body) : Response.json(known);
  }

  private list(plural: string): Response {
    const items = [...this.objects].filter(([key]) => key.startsWith(`${plural}/`)).map(([, object]) => object);
    return Response.json({ metadata: { resourceVersion: String(this.version) }, items });
  }

  private create(plural: string, body: Json): Response {
    const object = body as Json & KubeObject;
    if (this.objects.has(`${plural}/${object.metadata.name}`)) return status(409, "AlreadyExists");
    return Response.json(this.put({ plural }, object), { status: 201 });
  }

  private patch(plural: string, known: KubeObject, { uid, resourceVersion, ...more }: Partial<Metadata>): Response {
    const isOther = uid !== undefined && uid !== known.metadata.uid;
    const isOld = resourceVersion !== undefined && resourceVersion !== known.metadata.resourceVersion;
    if (isOther || isOld) return status(409, "Conflict");
    return Response.json(this.keep(plural, { ...known, metadata: { ...known.metadata, ...more } }));
  }

  private remove(plural: string, known: KubeObject, { preconditions }: Json): Response {
    const { uid } = (preconditions ?? {}) as Partial<Metadata>;
    if (uid !== undefined && uid !== known.metadata.uid) return status(409, "Conflict");
    if ((known.metadata.finalizers ?? []).length > 0) {
      return Response.json(
        this.keep(plural, { ...known, metadata: { ...known.metadata, deletionTimestamp: this.nowText } }),
      );
    }
    this.drop({ plural }, known.metadata.name);
    return Response.json({ kind: "Status", status: "Success", details: { uid: known.metadata.uid } });
  }

  private keep<T extends KubeObject>(plural: string, object: T): T {
    const key = `${plural}/${object.metadata.name}`;
    const type = this.objects.has(key) ? "MODIFIED" : "ADDED";
    this.version += 1;
    const kept = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.version) } };
    this.objects.set(key, kept);
    this.tell(plural, type, kept);
    return kept;
  }

  private open(plural: string): Response {
    const all = this.watches.get(plural) ?? new Set();
    this.watches.set(plural, all);
    let mine: ReadableStreamDefaultController<Uint8Array> | undefined;
    const start = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
      mine = controller;
      all.add(controller);
    };
    const cancel = (): void => void (mine && all.delete(mine));
    return new Response(new ReadableStream({ start, cancel }));
  }

  private tell(plural: string, type: string, object: KubeObject): void {
    if (this.isHeldBack) return;
    const line = new TextEncoder().encode(`${JSON.stringify({ type, object })}\n`);
    for (const watch of this.watches.get(plural) ?? []) watch.enqueue(line);
  }
}

function status(code: number, reason: string): Response {
  return Response.json({ kind: "Status", code, reason, message: `${reason} ${code}` }, { status: code });
}
