import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{api,core,runtime,sidecar,sdk,cli,test}/**/*.test.ts"],
    exclude: ["**/node_modules/**", "test/e2e/**"],
    testTimeout: 20_000,
  },
});
