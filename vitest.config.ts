import { defineConfig } from "vitest/config";

/** These also run on ioredis 5, because what they test depends on how ioredis treats commands and connections. */
const dependOnIoredis = [
  "write",
  "read",
  "fallback",
  "fault",
  "client",
  "tidemark",
  "role",
  "deadline",
  "link",
  "batch",
  "conversation",
  "iteration",
  "lifecycle",
  "script",
  "settling",
].map((noun) => `test/${noun}.test.ts`);

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "ioredis 6", include: ["test/**/*.test.ts"] } },
      {
        extends: true,
        resolve: { alias: { ioredis: "ioredis5" } },
        test: { name: "ioredis 5", include: dependOnIoredis },
      },
    ],
  },
});
