import type { Condition } from "#api/crd/object.ts";
import { objectKey } from "#core/kubernetes/object-key.ts";
import type { KubeObject } from "#core/kubernetes/object.ts";

type Members = Record<string, unknown>;

/** Who owns which members of statuses, as far as server-side apply goes: members at the top, and conditions by type. */
export function createFieldManagers() {
  const owned = new Map<string, Set<string>>();
  return {
    /** The status after a forced apply: what this manager says, without what only it said before and says no more. */
    merge(manager: string, object: KubeObject & { readonly status?: unknown }, applied: unknown): unknown {
      const id = `${object.metadata.uid} ${objectKey(object.metadata)}`;
      const before = flatten(object.status);
      const now = flatten(applied);
      const key = `${id} ${manager}`;
      for (const path of owned.get(key) ?? []) if (!now.has(path)) before.delete(path);
      for (const [other, paths] of owned) {
        if (other.startsWith(`${id} `) && other !== key) for (const path of now.keys()) paths.delete(path);
      }
      owned.set(key, new Set(now.keys()));
      return unflatten(new Map([...before, ...now]));
    },
  };
}

function flatten(status: unknown): Map<string, unknown> {
  const { conditions = [], ...members } = (status ?? {}) as Members & { conditions?: readonly Condition[] };
  const said = conditions.map((condition): [string, unknown] => [`condition ${condition.type}`, condition]);
  return new Map([...Object.entries(members).filter(([, member]) => member !== undefined), ...said]);
}

function unflatten(paths: ReadonlyMap<string, unknown>): Members {
  const entries = [...paths];
  const conditions = entries.flatMap(([path, value]) => (path.startsWith("condition ") ? [value] : []));
  const members = Object.fromEntries(entries.filter(([path]) => !path.startsWith("condition ")));
  return { ...members, ...(conditions.length === 0 ? {} : { conditions }) };
}
