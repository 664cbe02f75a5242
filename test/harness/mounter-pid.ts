import { readdirSync, readFileSync } from "node:fs";

/** The child of a gateway that keeps its snapshots; undefined while it is being started again. */
export function mounterPid(gatewayPid: number): number | undefined {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        const isMounter = readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("mounter/src/entry/local.ts");
        return parent === gatewayPid && isMounter;
      } catch {
        return false;
      }
    });
}
