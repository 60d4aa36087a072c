/** After a user's writes only reads of the keys that were written need a replica that has them. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { CommonOptions, Tidemark } from "../src/index.js";
import { replicasAreEligible } from "./support/eligible-replicas.js";
import { holdReplicas, releaseReplicas } from "./support/held-replicas.js";
import { openTidemark } from "./support/open-tidemark.js";
import { type ReplicationGroup, startReplicationGroup } from "./support/replication-group.js";
import { listenToRoutes } from "./support/routes.js";

type Client = Tidemark["redis"];

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterEach(() => releaseReplicas(group));

afterAll(async () => {
  await tidemark.close();
  await group.stop();
});

/** Has a user write while the replica is held back, and read in the next request; where the commands went. */
async function afterWriting(
  write: (redis: Client) => Promise<unknown>,
  read: (redis: Client) => Promise<unknown>,
  by: Tidemark = tidemark,
): Promise<string[]> {
  await group.caughtUp();
  await replicasAreEligible(by);
  holdReplicas(group);
  const writer = by.session();
  await write(writer.redis);
  await writer.settled();
  using routes = listenToRoutes();
  const reader = by.session({ token: writer.keyedToken() });
  await read(reader.redis);
  return routes.all();
}

async function withTidemark<T>(
  options: Partial<CommonOptions>,
  use: (other: Tidemark) => Promise<T>,
): Promise<T> {
  const other = openTidemark(group, options);
  try {
    return await use(other);
  } finally {
    await other.close();
  }
}

const onReplica = "replica:known";
const onPrimary = "primary:behind";

describe("a later request", () => {
  it.each<[string, (redis: Client) => Promise<unknown>, (redis: Client) => Promise<unknown>, string]>([
    ["reads another key on the replica", (r) => r.set("a", 1), (r) => r.get("b"), onReplica],
    ["reads the key on the primary", (r) => r.set("a", 1), (r) => r.get("a"), onPrimary],
    ["reads it by its bytes on the primary", (r) => r.set("é", 1), (r) => r.get(Buffer.from("é")), onPrimary],
    ["reads one of several keys on the primary", (r) => r.mset("a", 1, "b", 2), (r) => r.get("b"), onPrimary],
    ["reads several keys on the primary", (r) => r.set("a", 1), (r) => r.mget("b", "a"), onPrimary],
    ["reads none of several keys on the replica", (r) => r.set("a", 1), (r) => r.mget("b", "c"), onReplica],
    ["scans on the primary", (r) => r.set("a", 1), (r) => r.scan(0), "primary:not-a-read"],
    ["reads anything after FLUSHALL on the primary", (r) => r.flushall(), (r) => r.get("b"), onPrimary],
    [
      "reads by a script on the primary",
      (r) => r.set("a", 1),
      (r) => r.eval_ro("return 1", 1, "b"),
      onPrimary,
    ],
    [
      "reads anything after a script on the primary",
      (r) => r.eval("redis.call('set', KEYS[1], 1)", 1, "a"),
      (r) => r.get("b"),
      onPrimary,
    ],
    [
      "reads what a transaction has written on the primary",
      (r) => r.multi().set("a", 1).incr("n").exec(),
      (r) => r.get("n"),
      onPrimary,
    ],
    [
      "reads beside a transaction on the replica",
      (r) => r.multi().set("a", 1).incr("n").exec(),
      (r) => r.get("b"),
      onReplica,
    ],
    [
      "reads beside a pipeline on the replica",
      (r) => r.pipeline().set("a", 1).incr("n").exec(),
      (r) => r.get("b"),
      onReplica,
    ],
    ["reads anything after PUBLISH on the replica", (r) => r.publish("a", "m"), (r) => r.get("a"), onReplica],
    [
      "reads a destination on the primary",
      (r) => r.sadd("x", 1).then(() => r.sunionstore("to", "x", "y")),
      (r) => r.smembers("to"),
      onPrimary,
    ],
    [
      "reads both names of a renamed key on the primary",
      (r) =>
        r
          .eval("return 1", 0)
          .then(() => r.set("old", 1))
          .then(() => r.rename("old", "new")),
      (r) => r.get("old"),
      onPrimary,
    ],
  ])("%s", async (_title, write, read, route) => {
    const routes = await afterWriting(write, read);
    expect(routes.at(-1)).toMatch(route === onPrimary ? /^primary:/ : route);
  });

  it("reads a pipeline where its strictest read may go", async () => {
    const routes = await afterWriting(
      (r) => r.set("a", 1),
      (r) => r.pipeline().get("b").get("a").exec(),
    );
    expect(routes.every((route) => route.startsWith("primary:"))).toBe(true);
    expect(routes).toHaveLength(2);
  });
});
