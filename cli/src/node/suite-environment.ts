import { delimiter, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

export interface SuiteWorld {
  readonly repo: string;
  readonly home: string;
  readonly testbedHome: string;
  readonly env: Environment;
  /** Of the programs that suites look for. */
  readonly searchPath: string;
}

/** What is somebody's own: a gateway's settings, and a cluster that somebody works with; a bench's size is for the bench. */
const FOREIGN = /^(ATOLL_(?!BENCH_)|ISOLA_|KUBECONFIG$)/;

/** Environment of suites and benches. Pinned tools come first in PATH; ATOLL_HOME is where set-up put programs and images. */
export function suiteEnvironment(
  { repo, home, testbedHome, env, searchPath }: SuiteWorld,
  { soak }: { readonly soak: boolean },
): Environment {
  const tools = [join(repo, `node_modules/node-linux-${process.arch}/bin`), join(repo, "node_modules/.bin")];
  const kept = Object.fromEntries(Object.entries(env).filter(([name]) => !FOREIGN.test(name)));
  return {
    ...kept,
    PATH: [...tools, searchPath].join(delimiter),
    ATOLL_HOME: home,
    ATOLL_TESTBED_HOME: testbedHome,
    ATOLL_RUNSC: join(home, "bin", "runsc"),
    ...(soak ? { ATOLL_SOAK: "1" } : {}),
  };
}
