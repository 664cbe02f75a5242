import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SandboxSpecResource, type SandboxResource } from "#api/crd/sandbox.ts";
import { formatQuantity, parseQuantity } from "#core/quantity.ts";
import type { SandboxSpec } from "#core/sandbox.ts";
import { toResource, toSpec } from "./convert.ts";
import { toLiteralText, toTemplateText } from "./literal-text.ts";

const AT = { namespace: "boxes", nowMs: 1_234_567 };
const spec: SandboxSpec = {
  containers: [
    {
      name: "main",
      image: "debian:13",
      command: ["sh", "-c", "echo $HOME $(date) $$"],
      env: { A: "1", PRICE: "$(A) costs $$5" },
      resources: { limits: { cpu: "500m", memory: "256Mi", ephemeralStorage: "1Gi" }, requests: { cpu: "100m" } },
    },
    { name: "side", image: "redis", env: {}, rootfsSnapshotName: "warm" },
  ],
  startupTimeoutSeconds: 60,
  timeoutSeconds: 600,
  network: { allowedEgressCIDRs: ["203.0.113.0/24"], nameservers: ["1.1.1.1"] },
  terminationPolicy: { type: "Delete" },
};

describe("toResource()", () => {
  it("is an object of the definition with Kubernetes' names for everything", () => {
    const made = toResource({ id: "box", spec, requestDigest: "digest" }, AT);
    expect(made.metadata).toEqual({
      name: "box",
      namespace: "boxes",
      annotations: { "atoll.run/request-digest": "digest", "atoll.run/created-at-ms": "1234567" },
      finalizers: ["sandbox.isola.run/cleanup"],
    });
    expect(SandboxSpecResource.parse(made.spec)).toEqual(made.spec);
    expect(made.spec.podTemplate.spec.containers).toEqual([
      {
        name: "main",
        image: "debian:13",
        command: ["sh", "-c", "echo $HOME $$(date) $$$$"],
        env: [
          { name: "A", value: "1" },
          { name: "PRICE", value: "$$(A) costs $$$$5" },
        ],
        resources: {
          limits: { cpu: "500m", memory: "256Mi", "ephemeral-storage": "1Gi" },
          requests: { cpu: "100m" },
        },
      },
      { name: "side", image: "redis" },
    ]);
    expect(made.spec.rootfsSnapshotSources).toEqual([{ containerName: "side", snapshotName: "warm" }]);
  });

  it("marks what is provisional", () => {
    const { metadata } = toResource({ id: "box", spec, requestDigest: "d", provisional: true }, AT);
    expect(metadata.annotations).toMatchObject({ "atoll.run/provisional": "true" });
  });
});

/** Quantities as the gateway's routes hand them on. */
const quantity = fc
  .tuple(fc.nat(10_000), fc.constantFrom("", "m", "k", "Mi", "Gi"))
  .map(([count, unit]) => formatQuantity(parseQuantity(`${count}${unit}`)!));
const amounts = fc
  .record({ cpu: quantity, memory: quantity, ephemeralStorage: quantity }, { requiredKeys: [] })
  .filter((list) => Object.keys(list).length > 0);
const text = fc.oneof(fc.string(), fc.stringMatching(/^[$()A-Z ]{0,12}$/));
const container = fc.record(
  {
    name: fc.stringMatching(/^[a-z]{1,8}$/),
    image: fc.string({ minLength: 1 }),
    env: fc.dictionary(fc.stringMatching(/^[A-Z_]{1,6}$/), text),
    command: fc.array(text, { minLength: 1 }),
    resources: fc.oneof(fc.record({ limits: amounts }), fc.record({ limits: amounts, requests: amounts })),
    rootfsSnapshotName: fc.stringMatching(/^[a-z]{1,8}$/),
    rootfsSnapshotAllowOtherBase: fc.boolean(),
  },
  { requiredKeys: ["name", "image", "env"] },
);
/** The one says nothing without the other. */
const restored = container.map(({ rootfsSnapshotAllowOtherBase, ...rest }) =>
  rest.rootfsSnapshotName === undefined || rootfsSnapshotAllowOtherBase === undefined
    ? rest
    : { ...rest, rootfsSnapshotAllowOtherBase },
);
const anySpec: fc.Arbitrary<SandboxSpec> = fc.record(
  {
    containers: fc.uniqueArray(restored, { minLength: 1, maxLength: 4, selector: ({ name }) => name }),
    startupTimeoutSeconds: fc.integer({ min: 1 }),
    timeoutSeconds: fc.integer({ min: 1 }),
    network: fc.record({ allowInternetEgress: fc.boolean() }),
    terminationPolicy: fc.constant({ type: "Delete" as const }),
  },
  { requiredKeys: ["containers", "startupTimeoutSeconds"] },
);

describe("toSpec()", () => {
  it("gives back what toResource() was given", () => {
    fc.assert(
      fc.property(anySpec, (given) => {
        const made = toResource({ id: "box", spec: given, requestDigest: "d" }, AT);
        expect(toSpec(JSON.parse(JSON.stringify(made)) as SandboxResource)).toEqual(given);
      }),
    );
  });

  it("reads what others wrote: canonical amounts, no foreign members, the first container's snapshot", () => {
    const resource = {
      spec: {
        podTemplate: {
          spec: {
            nodeSelector: { disk: "fast" },
            containers: [
              {
                name: "main",
                image: "debian",
                env: [{ name: "A" }, { name: "B", value: "$(A)" }, { name: "SECRET", valueFrom: { secretKeyRef: {} } }],
                resources: { limits: { cpu: 2, memory: "1024Mi", "nvidia.com/gpu": "1" }, requests: { cpu: "odd" } },
                ports: [{ containerPort: 80 }],
              },
            ],
          },
        },
        startupTimeoutSeconds: 90,
        rootfsSnapshotSources: [{ snapshotName: "warm" }],
      },
    } as unknown as SandboxResource;
    expect(toSpec(resource)).toEqual({
      containers: [
        {
          name: "main",
          image: "debian",
          env: { A: "", B: "$(A)" },
          resources: { limits: { cpu: "2", memory: "1Gi" } },
          rootfsSnapshotName: "warm",
        },
      ],
      startupTimeoutSeconds: 90,
    });
  });

  it("reads any container that the API server keeps: it checks only the members that the definition names", () => {
    const anyContainer = fc.record(
      {
        name: fc.constant("main"),
        image: fc.constant("debian"),
        command: fc.jsonValue(),
        env: fc.oneof(
          fc.jsonValue(),
          fc.array(
            fc.oneof(fc.jsonValue(), fc.record({ name: fc.jsonValue(), value: fc.jsonValue() }, { requiredKeys: [] })),
          ),
        ),
        resources: fc.oneof(fc.jsonValue(), fc.record({ limits: fc.jsonValue(), requests: fc.jsonValue() })),
      },
      { requiredKeys: ["name", "image"] },
    );
    fc.assert(
      fc.property(anyContainer, (container) => {
        const podTemplate = { spec: { containers: [container] } };
        const [read] = toSpec({ spec: { podTemplate, startupTimeoutSeconds: 90 } }).containers;
        const { command = [], env } = read ?? { env: {} };
        expect([...command, ...Object.values(env)].every((part) => typeof part === "string")).toBe(true);
      }),
    );
  });

  it.each([
    { what: "a command of one text", container: { command: "sleep 5" } },
    { what: "a command with a number", container: { command: ["sleep", 5] } },
    { what: "variables by name", container: { env: { A: "1" } } },
    { what: "nothing among the variables", container: { env: [null, "A"] } },
    { what: "a variable without a name", container: { env: [{ value: "1" }, { name: "A", value: 1 }] } },
    { what: "an amount that is too long to be one", container: { resources: { limits: { cpu: "1".repeat(65) } } } },
    { what: "null for everything", container: { command: null, env: null, resources: null } },
  ])("leaves out $what, which no pod may have", ({ container }) => {
    const podTemplate = { spec: { containers: [{ name: "main", image: "debian", ...container }] } };
    const resource = { spec: { podTemplate, startupTimeoutSeconds: 90 } } as unknown as SandboxResource;
    expect(toSpec(resource).containers).toEqual([{ name: "main", image: "debian", env: {} }]);
  });
});

/** Kubernetes' own reading: `$$` is `$`, `$(NAME)` a variable, every other `$` stands for itself. */
function expand(template: string, variable: string): string {
  return template.replaceAll(/\$\$|\$\([^)]*\)/g, (found) => (found === "$$" ? "$" : variable));
}

describe("toTemplateText()", () => {
  it("is read by Kubernetes as the text it was made of, and turned back into it", () => {
    fc.assert(
      fc.property(text, (literal) => {
        expect(expand(toTemplateText(literal), "REPLACED")).toBe(literal);
        expect(toLiteralText(toTemplateText(literal))).toBe(literal);
      }),
      { numRuns: 2000 },
    );
  });

  it("leaves the shell's own signs alone", () => {
    expect(toTemplateText("echo $HOME ${PATH} $1 5$")).toBe("echo $HOME ${PATH} $1 5$");
  });
});
