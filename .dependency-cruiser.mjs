/**
 * The law of the house as rules: see ARCHITECTURE.md. `test/architecture.test.ts` feeds each rule
 * a failing sample.
 */
const PROGRAMS = ["runtime", "operator", "sidecar", "mounter", "cli", "infra/installer"];
const program = `(${PROGRAMS.join("|")})`;
/** Tests and benchmarks may look everywhere. */
const TESTS = String.raw`(^|/)(test|bench)/|\.test\.ts$`;
const OUR_TESTS = String.raw`^(test|bench)/|^[^/]+/(test|bench)/|\.test\.ts$`;
const ZOD = "(^|node_modules/)zod(/|$)";
const TOML = "(^|node_modules/)smol-toml(/|$)";
const BUILTINS = ["core"];
/** Files that no program loads: settings of tools, and programs that build. */
const TOOLING = String.raw`^[^/]+\.(ts|mjs)$|^[^/]+/(node/)?build\.ts$|^images/`;

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-circular",
      comment: "Two files that need each other are one idea, or hide a third.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "api-imports-only-zod",
      comment: "What crosses a process boundary depends on its schema language alone.",
      severity: "error",
      from: { path: "^api/", pathNot: OUR_TESTS },
      to: { pathNot: ["^api/", ZOD] },
    },
    {
      name: "core-imports-only-api",
      comment: "Pure rules need data and nothing else.",
      severity: "error",
      from: { path: "^core/", pathNot: OUR_TESTS },
      // Which files may use what a runtime has built in, another rule says.
      to: { pathNot: ["^core/", "^api/"], dependencyTypesNot: BUILTINS },
    },
    {
      name: "programs-are-islands",
      comment: "Programs read nothing of each other but manifest.ts.",
      severity: "error",
      from: { path: `^${program}/`, pathNot: [OUR_TESTS, "^cli/src/(setup|doctor)/node/"] },
      to: {
        path: `^${program}/`,
        pathNot: ["^$1/", `^${program}/src/manifest\\.ts$`],
      },
    },
    {
      name: "infra-reads-only-manifests",
      comment: "The installation knows of a program what its manifest says: environment, ports, rights.",
      severity: "error",
      from: { path: "^infra/(src/|index)", pathNot: OUR_TESTS },
      to: { path: `^${program}/`, pathNot: String.raw`/src/manifest\.ts$` },
    },
    {
      name: "setup-shares-only-images",
      comment: "The set-up fills the image store that the local backend reads: one code for one format.",
      severity: "error",
      from: { path: "^cli/src/setup/node/", pathNot: OUR_TESTS },
      to: {
        path: `^${program}/`,
        pathNot: ["^cli/", `^${program}/src/manifest\\.ts$`, "^runtime/src/backend/local/(node/)?image"],
      },
    },
    {
      name: "doctor-shares-only-network",
      comment: "The doctor makes the trials that the local backend makes: one answer to one question.",
      severity: "error",
      from: { path: "^cli/src/doctor/node/", pathNot: OUR_TESTS },
      to: {
        path: `^${program}/`,
        pathNot: [
          "^cli/",
          `^${program}/src/manifest\\.ts$`,
          String.raw`^runtime/src/backend/local/(read-config|node/net-capabilities)\.ts$`,
        ],
      },
    },
    {
      name: "sdk-stands-alone",
      comment: "The client has no dependencies, not even on the schemas at run time.",
      severity: "error",
      from: { path: "^sdk/src/", pathNot: OUR_TESTS },
      to: { pathNot: ["^sdk/src/"], dependencyTypesNot: ["type-only"] },
    },
    {
      name: "domain-is-pure",
      comment:
        "Decisions know data of other programs, but no adapter and no library but schemas and the parser of the texts they decide about.",
      severity: "error",
      from: { path: `^${program}/src/domain/`, pathNot: OUR_TESTS },
      to: { pathNot: ["^$1/src/domain/", "^api/", "^core/", ZOD, TOML, `^${program}/src/manifest\\.ts$`] },
    },
    {
      name: "node-builtins-only-in-node-or-entry",
      comment: "Everything else runs on every runtime.",
      severity: "error",
      from: { pathNot: [OUR_TESTS, "/(node|entry)/", TOOLING] },
      to: { dependencyTypes: BUILTINS },
    },
    {
      name: "portable-never-imports-node-folders",
      comment: "A portable file that imports an adapter is not portable.",
      severity: "error",
      from: { pathNot: [OUR_TESTS, "/(node|entry)/", TOOLING] },
      to: { path: String.raw`^(${[...PROGRAMS, "sdk", "core", "api"].join("|")})/.*(^|/)node/` },
    },
    {
      name: "entry-is-terminal",
      comment: "Composition roots are started, never imported.",
      severity: "error",
      from: { pathNot: [OUR_TESTS, "/entry/"] },
      to: { path: "/src/entry/" },
    },
    {
      name: "routes-see-only-port",
      comment: "A route that knows a backend works with that one only.",
      severity: "error",
      from: { path: "^runtime/src/(routes|middleware)/", pathNot: OUR_TESTS },
      to: { path: "^runtime/src/backend/", pathNot: String.raw`^runtime/src/backend/port\.ts$` },
    },
    {
      name: "backends-are-strangers",
      comment: "Each backend stands behind the port alone.",
      severity: "error",
      from: { path: "^runtime/src/backend/([^/.]+)", pathNot: [OUR_TESTS, String.raw`^runtime/src/backend/port\.ts$`] },
      to: {
        path: "^runtime/src/backend/",
        pathNot: [String.raw`^runtime/src/backend/$1(/|\.ts$)`, String.raw`^runtime/src/backend/port\.ts$`],
      },
    },
    {
      name: "no-orphans",
      comment: "A file that nothing imports is dead.",
      severity: "error",
      from: {
        orphan: true,
        pathNot: [TESTS, "/entry/", String.raw`/manifest\.ts$`, TOOLING, String.raw`\.d\.ts$`],
      },
      to: {},
    },
    {
      name: "no-unresolvable",
      comment: "An import that leads nowhere hides from every other rule.",
      severity: "error",
      from: {},
      // A foreign quick start runs verbatim over our client: its import is an alias of the test.
      to: { couldNotResolve: true, pathNot: "^@isola-run/sdk$" },
    },
    {
      name: "no-undeclared",
      comment: "What is imported is pinned in package.json; programs use no development dependency.",
      severity: "error",
      from: { pathNot: [OUR_TESTS, TOOLING] },
      to: {
        dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"],
        dependencyTypesNot: ["type-only", "npm", "npm-optional"],
      },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: String.raw`(^|/)(\.atoll|coverage)/` },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    builtInModules: { add: ["bun", "bun:ffi", "bun:test", "cloudflare:workers"] },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      mainFields: ["module", "main", "types"],
    },
  },
};
