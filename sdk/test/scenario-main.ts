import { scenario } from "./scenario.ts";

/* Runs the scenario where there is a process: Node, Bun and Deno. */
const { process } = globalThis as unknown as { process: { env: Record<string, string> } };
console.log(JSON.stringify(await scenario(process.env["ATOLL_URL"] ?? "")));
