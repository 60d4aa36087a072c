/** A session that has written to each of many shards. */
import { expect, it } from "vitest";
import { SLOTS } from "../support/commands/hash-slot.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const shards = 17;
const stage = stageCluster({ shards, replicatedShards: 2 });

it("a session with writes to many shards is answered by the replicas that have them, and not by a lagging one", {
  timeout: 60_000,
}, async () => {
  const keys = Array.from({ length: shards }, (_, i) => keyIn(((i + 0.5) * SLOTS) / shards, "own"));
  const tidemark = await stage.open();
  const primary = await stage.group.primaryOf(0);
  const session = tidemark.session();
  const write = (value: string) => Promise.all(keys.map((key) => session.redis.set(key, value)));
  const read = async () => {
    stage.routes.clear();
    const { redis } = tidemark.session({ token: session.token() });
    return await Promise.all(keys.map((key) => redis.get(key)));
  };
  const replicaAnswered = () => stage.routes.of("get").filter((route) => route.startsWith("replica:")).length;

  await write("old");
  expect(session.positions).toHaveLength(shards);
  await waitUntil(async () => (await read()) && replicaAnswered() === 2, { what: "both replicas answer" });

  primary.proxy.hold();
  await write("new");
  const answeredByTheOther = async () => {
    expect(await read()).toEqual(keys.map(() => "new"));
    return replicaAnswered() === 1;
  };
  await waitUntil(answeredByTheOther, { what: "the replica that does not lag answers" });
});
