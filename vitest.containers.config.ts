/** The tests of backends once more, on servers in containers. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "containers",
    include: ["test/scenarios/backends/**/*.test.ts"],
    globalSetup: "test/support/servers/container-setup.ts",
    env: { TESTCONTAINERS_RYUK_DISABLED: "true" },
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
