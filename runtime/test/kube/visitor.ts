import process from "node:process";
import { UnsentError } from "#core/kubernetes/kube-error.ts";
import { createKubeFetch } from "#core/kubernetes/node/kube-fetch.ts";
import { findClusterAccess } from "#runtime/backend/kubernetes/node/cluster-access.ts";

/**
 * Asks the API server of a kubeconfig for each path in turn and prints what came of it, one line
 * each: `visitor.ts KUBECONFIG PATH...`. Of a watch, each piece is a line as it comes.
 */
const [kubeconfig = "", ...paths] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const fetch = createKubeFetch(await findClusterAccess({ kubeconfig, env: {} }), { userAgent: "visitor" });

for (const word of paths) {
  const [method = "GET", path = ""] = word.split(" ");
  const body = method === "GET" ? {} : { body: "{}" };
  try {
    const response = await fetch(path, { method, ...body, signal: AbortSignal.timeout(10_000) });
    if (path.includes("watch=true")) {
      const decoder = new TextDecoder();
      for await (const piece of response.body ?? []) say(`piece ${decoder.decode(piece)}`);
      say(`${response.status} end`);
    } else {
      say(`${response.status} ${(await response.text()).slice(0, 200).replaceAll("\n", " ")}`);
    }
  } catch (error) {
    say(`error ${error instanceof UnsentError ? "unsent" : ""}`.trim());
  }
}
process.exit(0);
