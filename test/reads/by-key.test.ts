/** After a user's writes, only reads of the written keys need a replica that has the writes. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { CommonOptions, Tidemark } from "../../src/index.js";
import { listenToRoutes, type Routes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

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
  await releaseReplicas(group);
  await replicasAreEligible(by);
  holdReplicas(group);
  const writer = by.session();
  await write(writer.redis);
  await writer.settled();
  using routes = listenToRoutes();
  const reader = by.session({ token: writer.keyedToken() });
  await read(reader.redis);
  return answered(routes);
}

/**
 * Where reads were answered: a replica that was tried in vain is left out. On a loaded machine the word of a replica may be
 * too old to be believed without asking, so both proofs count as one.
 */
function answered(routes: Routes): string[] {
  const all = routes.all();
  const last = all.filter((_route, index) => all[index + 1] !== "primary:check-failed");
  return last.map((route) => route.replace(/^replica:(known|checked)$/, onReplica));
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

const onReplica = "replica:proven";
const primary: unknown = expect.stringMatching(/^primary:/);
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
      "reads anything after a script in a transaction on the primary",
      (r) => r.multi().eval("redis.call('set', KEYS[1], 1)", 1, "a").set("c", 1).exec(),
      (r) => r.get("b"),
      onPrimary,
    ],
    [
      "reads anything after a script that declares no keys in a transaction on the primary",
      (r) => r.multi().eval("redis.call('set', 'a', 1)", 0).set("c", 1).exec(),
      (r) => r.get("b"),
      onPrimary,
    ],
    [
      "reads by one of several scripts in a pipeline on the primary",
      (r) => r.set("a", 1),
      (r) => r.pipeline().eval_ro("return 1", 1, "b").get("c").exec(),
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

  it("a pipeline goes where its strictest read may go", async () => {
    const routes = await afterWriting(
      (r) => r.set("a", 1),
      (r) => r.pipeline().get("b").get("a").exec(),
    );
    expect(routes.every((route) => route.startsWith("primary:"))).toBe(true);
    expect(routes).toHaveLength(2);
  });
});

describe("within one request", () => {
  it("reads other keys on the primary after a write of its own", async () => {
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("a", 1);
    using routes = listenToRoutes();
    await redis.get("b");
    expect(answered(routes)).toEqual([primary]);
  });

  it("reads other keys on the primary after it has read newer data there", async () => {
    const routes = await afterWriting(
      (r) => r.set("a", 1),
      (r) => r.get("a").then(() => r.get("b")),
    );
    expect(routes).toEqual([primary, primary]);
  });

  it("keeps the order of each scope separate", async () => {
    holdReplicas(group);
    const { redis } = tidemark.session();
    using routes = listenToRoutes();
    const writing = redis.set("sess:1", "{}");
    await redis.get("b");
    await writing;
    // The write may be answered first.
    expect(answered(routes)).toContain(onReplica);
    routes.clear();
    await redis.get("sess:1");
    await redis.get("b");
    await redis.get("sess:2");
    expect(answered(routes)).toEqual([primary, onReplica, primary]);
  });

  it("joins all scopes into one after a command on keys of several", async () => {
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("sess:1", "{}");
    await redis.mget("sess:1", "b");
    using routes = listenToRoutes();
    await redis.get("c");
    expect(answered(routes)).toEqual([primary]);
  });

  it("orders reads of every scope after a write of unknown keys", async () => {
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.eval("redis.call('set', 'sess:1', 1)", 0);
    using routes = listenToRoutes();
    await redis.get("sess:1");
    await redis.get("b");
    expect(answered(routes)).toEqual([primary, primary]);
  });
});

describe("a script", () => {
  const script = "redis.call('incr', KEYS[1])";

  it("counts as a write to its keys where they are in a scope", async () => {
    const write = (r: Client) => r.eval(script, 1, "rlflx:n");
    expect(await afterWriting(write, (r) => r.get("b"))).toEqual([onReplica]);
    expect(await afterWriting(write, (r) => r.get("rlflx:n"))).toEqual([primary]);
  });

  it("counts as a write to its keys where scripts declare them", async () => {
    await withTidemark({ scriptsDeclareKeys: true }, async (other) => {
      const write = (r: Client) => r.eval(script, 1, "n");
      expect(await afterWriting(write, (r) => r.get("b"), other)).toEqual([onReplica]);
      expect(await afterWriting(write, (r) => r.get("n"), other)).toEqual([primary]);
      expect(
        await afterWriting(
          (r) => r.set("n", 1),
          (r) => r.eval_ro("return 1", 1, "b"),
          other,
        ),
      ).toEqual([onReplica]);
    });
  });
});

describe("untracked writes", () => {
  const tokenAfter = async (write: (redis: Client) => Promise<unknown>, by = tidemark): Promise<string> => {
    const session = by.session();
    await write(session.redis);
    await session.settled();
    return session.keyedToken();
  };

  it("with the untracked client give the session no token, alone, in pipelines and in transactions", async () => {
    expect(await tokenAfter((r) => r.untracked.incr("n"))).toBe("");
    expect(await tokenAfter((r) => r.untracked.pipeline().incr("n").incr("m").exec())).toBe("");
    expect(await tokenAfter((r) => r.untracked.multi().incr("n").exec())).toBe("");
    expect(await tokenAfter((r) => r.untracked.eval("redis.call('incr', KEYS[1])", 1, "n"))).toBe("");
    expect(await tokenAfter((r) => r.untracked.at("session").incr("n"))).toBe("");
    expect(await tokenAfter((r) => r.incr("n"))).not.toBe("");
    expect(await tokenAfter((r) => r.multi().incr("n").exec())).not.toBe("");
  });

  it("are the scripts of limiters by default, and no other command on their keys", async () => {
    const script = "return redis.call('incr', KEYS[1])";
    expect(await tokenAfter((r) => r.eval(script, 1, "rl:1"))).toBe("");
    expect(await tokenAfter((r) => r.pipeline().eval(script, 1, "rl:1").exec())).toBe("");
    expect(await tokenAfter((r) => r.eval(script, 2, "rl:1", "other"))).not.toBe("");
    expect(await tokenAfter((r) => r.incr("rl:1"))).not.toBe("");
    await withTidemark({ untracked: [] }, async (other) => {
      expect(await tokenAfter((r) => r.eval(script, 1, "rl:1"), other)).not.toBe("");
    });
  });

  it("are those whose keys start with a configured prefix, after keyPrefix", async () => {
    await withTidemark({ untracked: ["views:"], redis: { keyPrefix: "app:" } }, async (other) => {
      expect(await tokenAfter((r) => r.incr("views:1"), other)).toBe("");
      expect(await tokenAfter((r) => r.incr("app:views:1"), other)).not.toBe("");
      expect(await tokenAfter((r) => r.mset("views:1", 1, "b", 2), other)).not.toBe("");
    });
  });

  it("are those for which the configured function returns true", async () => {
    const seen: unknown[] = [];
    const untracked: CommonOptions["untracked"] = (write) => {
      seen.push(write);
      return write.command === "incr";
    };
    await withTidemark({ untracked }, async (other) => {
      expect(await tokenAfter((r) => r.incr("n"), other)).toBe("");
      expect(await tokenAfter((r) => r.call("INCR", "n"), other)).toBe("");
      expect(await tokenAfter((r) => r.incrby("n", 1), other)).not.toBe("");
    });
    expect(seen).toContainEqual({ command: "incr", keys: ["n"] });
  });
});

describe("a token", () => {
  it("of a request with more keys than it can name requires every other key's writes up to the named ones", async () => {
    const write = async (r: Client) => {
      for (let n = 0; n < 9; n += 1) await r.set(`key-${n}`, n);
    };
    expect(await afterWriting(write, (r) => r.get("other"))).toEqual([primary]);
    await withTidemark({ keysPerToken: 9 }, async (other) => {
      expect(await afterWriting(write, (r) => r.get("other"), other)).toEqual([onReplica]);
    });
    await withTidemark({ keysPerToken: 0 }, async (other) => {
      const one = (r: Client) => r.set("a", 1);
      expect(await afterWriting(one, (r) => r.get("other"), other)).toEqual([primary]);
    });
  });

  it("that is handed to a job requires every write, whatever the keys", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    await session.redis.set("a", 1);
    using routes = listenToRoutes();
    await tidemark.session({ token: session.token() }).redis.get("b");
    expect(answered(routes)).toEqual([primary]);
  });

  it("of several responses requires the writes of each", async () => {
    holdReplicas(group);
    const tokens = await Promise.all(
      ["a", "b"].map(async (key) => {
        const session = tidemark.session();
        await session.redis.set(key, 1);
        return session.keyedToken();
      }),
    );
    for (const key of ["a", "b"]) {
      using routes = listenToRoutes();
      await tidemark.session({ token: tokens }).redis.get(key);
      expect(answered(routes)).toEqual([primary]);
    }
    using routes = listenToRoutes();
    await tidemark.session({ token: tokens }).redis.get("c");
    expect(answered(routes)).toEqual([onReplica]);
  });

  it("of monotonic reads requires the data read for every key", async () => {
    holdReplicas(group);
    const writer = tidemark.session();
    await writer.redis.set("a", 1);
    const reader = tidemark.session({ token: writer.keyedToken(), monotonicReads: true });
    await reader.redis.get("a");
    await reader.settled();
    using routes = listenToRoutes();
    await tidemark.session({ token: reader.keyedToken() }).redis.get("b");
    expect(answered(routes)).toEqual([primary]);
  });
});
