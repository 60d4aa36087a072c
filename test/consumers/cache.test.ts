/** cache-manager over keyv over @keyv/valkey, which accepts an ioredis client by its shape. */
import KeyvValkey from "@keyv/valkey";
import { type Cache, createCache } from "cache-manager";
import type { Redis } from "ioredis";
import { Keyv } from "keyv";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";
import { RandomReplicas } from "./support/random-replicas.js";
import { countServed } from "./support/served.js";

const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
const nothing = keys.map(() => undefined);

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

/** The store is typed for a client of iovalkey, of whose shape an ioredis client is. */
function cacheOn(client: Redis, namespace: string): Cache {
  const store: KeyvValkey = Reflect.construct(KeyvValkey, [client]);
  return createCache({ stores: [new Keyv({ store, namespace })] });
}

function readAll(cache: Cache): Promise<unknown[]> {
  return Promise.all(keys.map((key) => cache.get(key)));
}

/** Calls `work` as a request of its own. */
type InRequest = <R>(work: () => Promise<R>) => Promise<R>;

/** Requests of one user, each of which knows what the ones before it wrote. */
function requestsOfOneUser(): InRequest {
  let token = "";
  return async (work) => {
    const session = tidemark.session({ token });
    const result = await tidemark.run(session, work);
    token = session.token();
    return result;
  };
}

/** Every kind of change, and what is read behind each. */
async function changeAndRead(cache: Cache, inRequest: InRequest): Promise<Record<string, unknown[]>> {
  await inRequest(() => Promise.all(keys.map((key) => cache.set(key, `${key} set`, 60_000))));
  const set = await inRequest(() => readAll(cache));
  await inRequest(() => cache.mset(keys.map((key) => ({ key, value: `${key} mset` }))));
  const mset = await inRequest(() => cache.mget(keys));
  await inRequest(() => Promise.all(keys.slice(0, 10).map((key) => cache.del(key))));
  const del = await inRequest(() => readAll(cache));
  await inRequest(() => cache.mdel(keys.slice(10, 15)));
  const mdel = await inRequest(() => cache.mget(keys));
  await inRequest(() => cache.clear());
  return { set, mset, del, mdel, clear: await inRequest(() => readAll(cache)) };
}

const mset = keys.map((key) => `${key} mset`);
const right = {
  set: keys.map((key) => `${key} set`),
  mset,
  del: [...nothing.slice(0, 10), ...mset.slice(10)],
  mdel: [...nothing.slice(0, 15), ...mset.slice(15)],
  clear: nothing,
};

describe("A client that reads from a random replica", () => {
  it("misses entries it has set, and keeps entries it has cleared", async () => {
    using client = new RandomReplicas(group);
    const cache = cacheOn(client, "random");
    holdReplicas(group);
    expect(await changeAndRead(cache, (work) => work())).toMatchObject({ set: nothing, mset: nothing });
    await releaseReplicas(group);
    expect(await readAll(cache)).toEqual(right.mdel);
  });
});

describe("a cache on tidemark.redis", () => {
  it.each([
    ["replicas 50 ms behind", () => group.replicas.map(({ link }) => link.delay(50))],
    ["replicas that get nothing", () => holdReplicas(group)],
  ])("shows users all their own changes over %s", async (lag, beginToLag) => {
    const cache = cacheOn(tidemark.redis, lag);
    beginToLag();
    expect(await changeAndRead(cache, requestsOfOneUser())).toEqual(right);
  });

  it("reads from replicas once they have the user's writes", async () => {
    const cache = cacheOn(tidemark.redis, "served");
    const inRequest = requestsOfOneUser();
    await inRequest(() => cache.mset(keys.map((key) => ({ key, value: `${key} mset` }))));
    await waitUntil(
      async () => {
        await group.caughtUp();
        const served = await countServed(group);
        expect(await inRequest(() => readAll(cache))).toEqual(mset);
        expect(await inRequest(() => cache.mget(keys))).toEqual(mset);
        const [get, mget] = [await served("get"), await served("mget")];
        return get.primary + mget.primary === 0 && get.replicas >= keys.length && mget.replicas > 0;
      },
      { what: "replicas serve the cache" },
    );
  });
});
