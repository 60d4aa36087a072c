/** redlock, old and new versions: each holder of the lock has to see the changes of the previous one. */
import { Redlock } from "@sesamecare-oss/redlock";
import type { Redis } from "ioredis";
import OldRedlock from "redlock";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { RandomReplicas } from "./support/random-replicas.js";
import { countServed } from "./support/served.js";

const contenders = 20;
const lockMs = 20_000;
const patience = { retryCount: 10_000, retryDelay: 5, retryJitter: 5 };

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterEach(async () => {
  for (const { link } of group.replicas) link.delay(0);
  await releaseReplicas(group);
});

afterAll(async () => {
  await tidemark.close();
  await group.stop();
});

/** Calls a function under the lock of that name. */
type Locking = (name: string, work: () => Promise<void>) => Promise<void>;

const lockings: Readonly<Record<string, (client: Redis) => Locking>> = {
  "redlock 4": (client) => {
    // Its types know no client since ioredis 4.
    const redlock: OldRedlock = Reflect.construct(OldRedlock, [[client], patience]);
    return async (name, work) => {
      const lock = await redlock.lock(name, lockMs);
      await work().finally(() => lock.unlock());
    };
  },
  "@sesamecare-oss/redlock": (client) => {
    const redlock = new Redlock([client], patience);
    return (name, work) => redlock.using([name], lockMs, work);
  },
};

/**
 * Contenders who each add one to a number that they read and write back under a lock: what it comes to, and how many
 * were under the lock at most.
 */
async function contend(
  client: Redis,
  locking: Locking,
  inSession: (work: () => Promise<void>) => Promise<void>,
): Promise<{ total: number; together: number }> {
  let [inside, together] = [0, 0];
  const add = async (): Promise<void> => {
    together = Math.max(together, ++inside);
    const before = Number(await client.get("number"));
    await client.set("number", before + 1);
    inside -= 1;
  };
  await client.del("number");
  await releaseReplicas(group);
  holdReplicas(group);
  await Promise.all(Array.from({ length: contenders }, () => inSession(() => locking("lock", add))));
  return { total: Number(await group.primary.admin().get("number")), together };
}

describe.each(Object.entries(lockings))("%s", (_name, lockingOn) => {
  it("does not help a client that reads from a random replica: the number stays one", async () => {
    using client = new RandomReplicas(group);
    const result = await contend(client, lockingOn(client), (work) => work());
    expect(result).toEqual({ total: 1, together: 1 });
  });

  it("on tidemark.redis admits one holder at a time, and each sees the previous one's changes", async () => {
    const served = await countServed(group);
    const { redis } = tidemark;
    const result = await contend(redis, lockingOn(redis), (work) => tidemark.run(tidemark.session(), work));
    expect(result).toEqual({ total: contenders, together: 1 });
    const [byText, byHash] = [await served("eval"), await served("evalsha")];
    expect(byText.primary + byHash.primary).toBeGreaterThanOrEqual(2 * contenders);
    expect(byText.replicas + byHash.replicas).toBe(0);
  });
});
