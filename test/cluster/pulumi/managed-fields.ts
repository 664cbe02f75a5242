/** Under this name the provider makes objects; its applying takes the fields over at the first change. */
export const CREATOR = "pulumi-kubernetes";

type Fields = Readonly<Record<string, unknown>>;

interface Entry {
  readonly manager?: string;
  readonly operation?: string;
  readonly apiVersion?: string;
  readonly subresource?: string;
  readonly fieldsV1?: Fields;
}

/** The JSON patch that gives `manager` what the maker of an object owns; undefined = it owns nothing. */
export function handedOver(live: object, manager: string): object[] | undefined {
  const { metadata } = live as { metadata: { managedFields?: readonly Entry[]; resourceVersion?: string } };
  const all = metadata.managedFields ?? [];
  const made = all.find((entry) => entry.manager === CREATOR && entry.operation === "Update");
  if (made === undefined) return undefined;
  const applied = all.find((entry) => entry.manager === manager && entry.operation === "Apply");
  const fieldsV1 = merged(made.fieldsV1 ?? {}, applied?.fieldsV1 ?? {});
  const others = all.filter((entry) => entry !== made && entry !== applied);
  return [
    {
      op: "replace",
      path: "/metadata/managedFields",
      value: [...others, { ...made, manager, operation: "Apply", fieldsV1 }],
    },
    { op: "replace", path: "/metadata/resourceVersion", value: metadata.resourceVersion },
  ];
}

function merged(one: Fields, other: Fields): Fields {
  const both = Object.entries(other).map(([key, value]) => [key, merged((one[key] ?? {}) as Fields, value as Fields)]);
  return { ...one, ...Object.fromEntries(both) };
}
