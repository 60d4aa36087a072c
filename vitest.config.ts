import { configDefaults, defineConfig } from "vitest/config";
import { hasDoublings } from "./test/support/doublings.js";

const testsIn = (...folders: string[]): string[] => folders.map((folder) => `test/${folder}/**/*.test.ts`);

/** These also run on ioredis 5, because what they test depends on how ioredis treats commands and connections. */
const dependOnIoredis = [
  ...testsIn("client", "connection", "node", "options", "reads", "routing", "scenarios", "shard"),
  ...testsIn("opentelemetry"),
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

/** `npm test` leaves these files out, because other tests prove the same. Tests within other files use `hasDoublings`. */
const doublings = [
  // The packed package has the sources that other tests run. Only a change to package.json or to the docs breaks it alone.
  ...["package", "package-frameworks"],
  // `npm run types` compiles the same file.
  "types",
  // Stale reads, tokens and cookies have tests of their own, and `.ci/run` runs the demo.
  "demo",
  // Each kind of failure has a test of its own in the same folder.
  "scenarios/chaos",
  // `promtool` tests when each alert fires. This one tries them on real servers, for a minute.
  "grafana/faults",
  // Every test on such a group fails when the group does not work.
  ...["support/servers/cluster-group", "support/servers/sentinel-group"],
].map((name) => `test/${name}.test.ts`);

/** These replace modules, patch ioredis or use cls-hooked, whose hooks slow down the rest of the process. */
const needOwnProcess = [
  ...testsIn("examples", "opentelemetry"),
  "test/client/run.test.ts",
  "test/http/context-express.test.ts",
  "test/scenarios/cart.test.ts",
  "test/session/cls-hooked.test.ts",
  "test/session/context.test.ts",
];

export default defineConfig({
  test: {
    pool: "forks",
    /** `npm test` starts four, because its files share processes and mostly wait. */
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
          // In shared processes `npm test` takes less time. `npm run test:all` proves that each file passes alone.
          isolate: hasDoublings,
          setupFiles: hasDoublings ? [] : ["test/support/nothing-left-open.ts"],
          include: ["test/**/*.test.ts"],
          exclude: [
            ...configDefaults.exclude,
            ...(hasDoublings ? [] : doublings),
            ...needOwnProcess,
            consumers,
          ],
        },
      },
      {
        extends: true,
        test: { name: "ioredis 6, own process", include: needOwnProcess },
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
