import { configDefaults, defineConfig } from "vitest/config";

const testsIn = (...folders: string[]): string[] => folders.map((folder) => `test/${folder}/**/*.test.ts`);

/** These also run on ioredis 5, because what they test depends on how ioredis treats commands and connections. */
const dependOnIoredis = [
  ...testsIn("client", "connection", "node", "options", "reads", "routing", "scenarios", "shard"),
  "test/types.test.ts",
];

/** Over RESP2 a replica does not report that it has loaded older data, so its position counts for a moment longer. */
const needResp3 = ["test/node/data-set-tracking.test.ts", "test/scenarios/chaos.test.ts"];

/** What tests run as processes of their own with tsx loads ioredis 5 too. */
const ioredis5 = { IOREDIS: "5", TSX_TSCONFIG_PATH: "bench/tsconfig.ioredis5.json" };

/** These also run on every server of REDIS_SERVERS, because what they test depends on how a server replicates. */
const dependOnServer = testsIn("node", "reads", "routing", "scenarios", "shard", "topology");

/** Paths of servers, like those of a PATH. */
const servers = (process.env.REDIS_SERVERS ?? "").split(":").filter((path) => path !== "");

const consumers = "test/consumers/**/*.test.ts";

/** It loads ioredis itself and takes only a client of that class, which no alias of ours reaches. */
const knowsOneIoredis = "test/consumers/throttler.test.ts";

/** It runs BullMQ on both already, and takes minutes. */
const bringsBoth = "test/consumers/queue-failover.test.ts";

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    /** Tests of groups of servers mostly wait; more than four at once would take time from their failovers. */
    maxConcurrency: 4,
    testTimeout: 60_000,
    hookTimeout: 90_000,
    projects: [
      {
        extends: true,
        test: {
          name: "ioredis 6",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, consumers],
        },
      },
      {
        extends: true,
        resolve: { alias: { ioredis: "ioredis5" } },
        test: {
          name: "ioredis 5",
          env: ioredis5,
          include: dependOnIoredis,
          exclude: [...configDefaults.exclude, ...needResp3],
        },
      },
      {
        extends: true,
        resolve: { alias: { redis: "redis5" } },
        test: { name: "node-redis 5", include: ["test/client/node-redis*.test.ts"] },
      },
      ...servers.map((path) => ({
        extends: true as const,
        test: {
          name: path.split("/").slice(-2).join("/"),
          include: dependOnServer,
          env: { REDIS_SERVER: path },
        },
      })),
      { extends: true, test: { name: "consumers", include: [consumers] } },
      {
        extends: true,
        resolve: { alias: { ioredis: "ioredis5" } },
        test: {
          name: "consumers, ioredis 5",
          include: [consumers],
          exclude: [...configDefaults.exclude, knowsOneIoredis, bringsBoth],
        },
      },
    ],
  },
});
