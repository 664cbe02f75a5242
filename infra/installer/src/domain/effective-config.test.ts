import { expect, test } from "vitest";
import { faultOfChange } from "./effective-config.ts";
import { runtimeTable } from "./runtime-section.ts";

const SETTINGS = { handler: "runsc", shimPath: "/shim", runscConfigPath: "/runsc.toml" };
const config = (runtimes: object, more: object = {}): object => ({
  version: 3,
  plugins: { "io.containerd.cri.v1.runtime": { containerd: { runtimes }, ...more } },
});
const runc = { runtime_type: "io.containerd.runc.v2" };
const runsc = runtimeTable(SETTINGS);

test.each([
  ["only the runtime came", config({ runc }), config({ runc, runsc }), undefined],
  ["the runtime was changed", config({ runsc: { ...runsc, runtime_path: "/old" } }), config({ runsc }), undefined],
  ["empty tables came along", { version: 3 }, config({ runsc }, { cni: {} }), undefined],
  ["the runtime is not seen", config({ runc }), config({ runc }), /would not see/],
  ["another overrides it", config({}), config({ runsc: { ...runsc, options: {} } }), /overrides/],
  ["another runtime is lost", config({ runc }), config({ runsc }), /would change plugins from .*runc.* to undefined/],
  ["a setting changes", config({}, { a: 1 }), config({ runsc }, { a: 2 }), /\.a from 1 to 2 as well/],
])("faultOfChange where %s", (_, before, after, fault) => {
  const found = faultOfChange(before, after, SETTINGS);
  if (fault === undefined) expect(found).toBeUndefined();
  else expect(found).toMatch(fault);
});
