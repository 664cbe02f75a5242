import { readFileSync } from "node:fs";
import { buildRoot, type BuildOrder } from "./build-root.ts";
import { RootFault } from "./root-fault.ts";

/** Reads its order from the file named by its argument, and says in one line of JSON how it went. */
function main(): unknown {
  try {
    const order = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as BuildOrder;
    return buildRoot(order);
  } catch (error) {
    if (error instanceof RootFault) return { fault: error.fault, message: error.message };
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") return { fault: "disk-full", message: "the disk is full" };
    throw error;
  }
}

process.stdout.write(`${JSON.stringify(main())}\n`);
