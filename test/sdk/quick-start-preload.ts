import { registerHooks } from "node:module";

/*
 * Lets the quick start run as it stands: its import finds the client of this project, and
 * its fixed address leads to the gateway under test.
 */
const target = process.env["ATOLL_TEST_URL"];
if (target === undefined) throw new Error("ATOLL_TEST_URL must name the gateway under test.");

registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === "@isola-run/sdk" ? new URL("../../sdk/src/index.ts", import.meta.url).href : specifier, context),
});

const realFetch = globalThis.fetch;
globalThis.fetch = (input, init) =>
  realFetch(typeof input === "string" ? input.replace("http://localhost:8080", target) : input, init);
