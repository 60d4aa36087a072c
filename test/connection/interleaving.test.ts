/** A hundred concurrent requests through one shared client: each keeps its own session. */
import type { Redis } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Session, Tidemark } from "../../src/index.js";
import { decodeToken } from "../../src/session/token.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

const requests = 100;

let group: ReplicationGroup;
let tidemark: Tidemark;

/** Every replica has the old values, may be read from, and gets nothing from now on. */
beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  const keys = Array.from({ length: requests }, (_, i) => [`${i}:0`, `${i}:1`, `${i}:2`]).flat();
  await group.primary.admin().mset(new Map(keys.map((key) => [key, "old"])));
  await group.caughtUp();
  // On a busy machine, reads would wait too long for their turn at the primary.
  const fallbackLimit = false;
  tidemark = openTidemark(group, { maxStalenessMs: 50_000, probeIntervalMs: 5_000, fallbackLimit });
  await replicasAreEligible(tidemark);
  tidemark.redis.defineCommand("put", { numberOfKeys: 1, lua: "return redis.call('set', KEYS[1], ARGV[1])" });
  holdReplicas(group);
});

afterAll(async () => {
  await tidemark?.close();
  if (group !== undefined) await releaseReplicas(group);
  await group?.stop();
});

const writes: readonly ((redis: Redis, key: string) => Promise<unknown>)[] = [
  (redis, key) => redis.set(key, key),
  (redis, key) => new Promise((resolve) => redis.set(key, key, resolve)),
  (redis, key) => redis.pipeline().get("0:0").set(key, key).exec(),
  (redis, key) => new Promise((resolve) => redis.pipeline([["set", key, key]]).exec(resolve)),
  (redis, key) => redis.multi().set(key, key).get(key).exec(),
  (redis, key) => Reflect.get(redis, "put").call(redis, key, key),
  (redis, key) => redis.call("SET", key, Buffer.from(key)),
];

const reads: readonly ((redis: Redis, key: string) => Promise<unknown>)[] = [
  (redis, key) => redis.get(key),
  (redis, key) => new Promise((resolve) => redis.get(key, (_error, value) => resolve(value))),
  async (redis, key) => String(await redis.getBuffer(key)),
  async (redis, key) => (await redis.pipeline().strlen(key).get(key).exec())?.[1]?.[1],
  async (redis, key) => (await redis.mget([key]))[0],
];

const hops: readonly (() => Promise<unknown>)[] = [
  () => Promise.resolve(),
  () => new Promise((resolve) => setImmediate(resolve)),
  () => new Promise<void>((resolve) => process.nextTick(resolve)),
  () => new Promise((resolve) => setTimeout(resolve, 1)),
];

function any<T>(from: readonly T[]): T {
  const one = from[Math.floor(Math.random() * from.length)];
  if (one === undefined) throw new Error("there is nothing to choose from");
  return one;
}

async function hop(): Promise<void> {
  for (let i = 0; i < 3; i++) await any(hops)();
}

/** Writes to three keys of its own and reads each back; what it found out about itself. */
async function write(session: Session, request: number): Promise<unknown> {
  const { redis } = tidemark;
  const seen: unknown[] = [];
  for (const key of [`${request}:0`, `${request}:1`, `${request}:2`]) {
    await hop();
    await any(writes)(redis, key);
    const token = session.token();
    await hop();
    // Others have written meanwhile; a position of theirs would have moved it.
    seen.push(session.token() === token && (await any(reads)(redis, key)));
  }
  const found = new Set<string>();
  for await (const keys of redis.scanStream({ match: `${request}:*`, count: 1_000 })) {
    for (const key of keys) found.add(key);
  }
  return { seen, found: found.size, wrote: session.wrote };
}

/** Reads what others write, from replicas that do not have it. */
async function read(session: Session, request: number): Promise<unknown> {
  const seen: unknown[] = [];
  for (const offset of [1, 3, 5, 7, 9, 11]) {
    await hop();
    seen.push(await any(reads)(tidemark.redis, `${(request + offset) % requests}:${offset % 3}`));
  }
  return { seen, token: session.token(), wrote: session.wrote };
}

it("never gives a request another request's session", async () => {
  const sessions = Array.from({ length: requests }, () => tidemark.session());
  const done = sessions.map((session, request) =>
    tidemark.run(session, () => (request % 2 === 0 ? write : read)(session, request)),
  );
  // Commands outside requests continue beside them.
  const strays = Array.from({ length: 50 }, (_, i) => tidemark.redis.set(`stray:${i}`, i));
  const outcomes = await Promise.all(done);
  await Promise.all(strays);
  for (const [request, outcome] of outcomes.entries()) {
    const own = [`${request}:0`, `${request}:1`, `${request}:2`];
    if (request % 2 === 0) expect(outcome).toEqual({ seen: own, found: 3, wrote: true });
    else expect(outcome).toEqual({ seen: Array.from({ length: 6 }, () => "old"), token: "", wrote: false });
  }
  for (const [request, session] of sessions.entries()) {
    if (request % 2 === 1) continue;
    const token = session.token();
    expect(decodeToken(token)).toMatchObject({ pinnedAt: 0, freshAsOf: 0, positions: [{}] });
    const next = tidemark.session({ token });
    expect(await next.redis.mget(`${request}:0`, `${request}:2`)).toEqual([`${request}:0`, `${request}:2`]);
  }
});
