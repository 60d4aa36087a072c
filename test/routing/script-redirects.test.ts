/** Scripts in a cluster: Tidemark follows the redirections of nodes, and not those that a script returns itself. */
import type { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { TransactionLostError } from "../../src/index.js";
import { slotOf } from "../support/commands/hash-slot.js";
import { hasReadOnlyScripts } from "../support/servers/abilities.js";
import type { SlotMigration } from "../support/servers/slot-migration.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();

const raise = "redis.call('incr', KEYS[1]) return redis.error_reply(ARGV[1])";
const bump = "return redis.call('incr', KEYS[1])";
const push = "return redis.call('rpush', KEYS[1], ARGV[1])";
/** The same as `raise`, as a function. */
const library = `#!lua name=errors
redis.register_function('raise', function(keys, args)
  redis.call('incr', keys[1])
  return redis.error_reply(args[1])
end)`;

/** Each test has a slot of its own, at first in the first shard. */
let nextSlot = 200;

/** A slot of the first shard, two keys in it, and the steps that take it to the second. */
async function aMigration(): Promise<{ key: string; other: string; migration: SlotMigration }> {
  const slot = nextSlot++;
  const migration = await stage.group.migration(slot, await stage.group.primaryOf(6_000));
  return { key: keyIn(slot), other: keyIn(slot, "other"), migration };
}

function messageOf(error: unknown): unknown {
  return error instanceof Error ? error.message : error;
}

/** The redirections that nodes return for calls on `key`. `to` is another node. */
function redirections(key: string, to: string): readonly string[] {
  return [
    `MOVED ${slotOf(key)} ${to}`,
    `ASK ${slotOf(key)} ${to}`,
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "CLUSTERDOWN The cluster is down",
    "CLUSTERDOWN Hash slot not served",
  ];
}

/** Runs a script that returns an error. Each brings the text of the error. */
type Use = (redis: Redis, keys: readonly string[], text: string) => Promise<unknown>;

const uses: Readonly<Record<string, Use>> = {
  alone: (redis, keys, text) => redis.eval(raise, keys.length, ...keys, text).catch(messageOf),
  "as a custom command": (redis, keys, text) =>
    Reflect.get(redis, "raise")
      .call(redis, ...keys, text)
      .catch(messageOf),
  "in a pipeline": async (redis, keys, text) => {
    const [key = ""] = keys;
    const pipeline = redis.pipeline().get(key);
    const replies = await pipeline
      .eval(raise, keys.length, ...keys, text)
      .get(key)
      .exec();
    expect([replies?.[0], replies?.[2]]).toEqual([
      [null, null],
      [null, "1"],
    ]);
    return messageOf(replies?.[1]?.[0]);
  },
  "in a transaction": async (redis, keys, text) => {
    const replies = await redis
      .multi()
      .eval(raise, keys.length, ...keys, text)
      .exec();
    return messageOf(replies?.[0]?.[0]);
  },
};

/** On keys that are watched. */
const watchedUses: Readonly<Record<string, Use>> = {
  "behind WATCH": async (redis, keys, text) => {
    const [key = ""] = keys;
    await redis.watch(`${key}w`);
    const message = await redis.eval(raise, keys.length, ...keys, text).catch(messageOf);
    expect(await redis.multi().get(key).exec()).toEqual([[null, "1"]]);
    return message;
  },
  "between WATCH and MULTI that are sent with it": async (redis, keys, text) => {
    const [key = ""] = keys;
    const watched = redis.watch(`${key}w`);
    const message = redis.eval(raise, keys.length, ...keys, text).catch(messageOf);
    const replies = redis.multi().get(key).exec();
    await watched;
    expect(await replies).toEqual([[null, "1"]]);
    return message;
  },
  "in a transaction behind WATCH": async (redis, keys, text) => {
    await redis.watch(`${keys[0]}w`);
    const replies = await redis
      .multi()
      .eval(raise, keys.length, ...keys, text)
      .exec();
    return messageOf(replies?.[0]?.[0]);
  },
};

describe("a script that returns the text of a redirection", () => {
  const [key, other] = [keyIn(1), keyIn(1, "other")];
  const elsewhere = keyIn(12_000);

  describe.each([
    ["outside any session", Object.entries(uses)],
    ["in a session", [...Object.entries(uses), ...Object.entries(watchedUses)]],
  ])("%s", (way, all) => {
    it.each(all)("runs once, and redirects nothing: %s", async (_how, use) => {
      const tidemark = await stage.open();
      tidemark.redis.defineCommand("raise", { numberOfKeys: 2, lua: raise });
      const redis = way === "in a session" ? tidemark.session().redis : tidemark.redis;
      for (const slot of [6_000, 12_000]) {
        const { host, port } = await stage.group.primaryOf(slot);
        for (const text of redirections(key, `${host}:${port}`)) {
          await redis.del(key);
          expect(await use(redis, [key, other], text)).toBe(text);
          expect(await tidemark.redis.get(key)).toBe("1");
        }
      }
      stage.routes.clear();
      expect(await redis.set(key, "here")).toBe("OK");
      expect(await redis.set(elsewhere, "there")).toBe("OK");
      expect(stage.routes.of("set")).toEqual(["primary:not-a-read", "primary:not-a-read"]);
    });
  });

  it.skipIf(!hasReadOnlyScripts)("runs once as a function", async () => {
    const tidemark = await stage.open();
    const owner = await stage.group.primaryOf(1);
    await owner.server.admin().function("LOAD", "REPLACE", library);
    const { host, port } = await stage.group.primaryOf(6_000);
    const { redis } = tidemark.session();
    for (const text of redirections(key, `${host}:${port}`)) {
      await redis.del(key);
      expect(await redis.fcall("raise", 2, key, other, text).catch(messageOf)).toBe(text);
      expect(await redis.get(key)).toBe("1");
    }
  });

  it("delays later commands on its keys only until the node has answered", async () => {
    const { redis } = (await stage.open()).session();
    const { host, port } = await stage.group.primaryOf(6_000);
    await redis.del(key);
    const text = `MOVED ${slotOf(key)} ${host}:${port}`;
    const calls = [1, 2, 3].map(() => redis.eval(raise, 1, key, text).catch(messageOf));
    expect(await redis.incr(key)).toBe(4);
    expect(await Promise.all(calls)).toEqual([text, text, text]);
    expect(await redis.get(key)).toBe("4");
  });

  it("runs once while its slot migrates and its key is still there", async () => {
    const { redis } = (await stage.open()).session();
    const { key, other, migration } = await aMigration();
    await redis.mset(key, "0", other, "0");
    await migration.begin();
    const { host, port } = migration.to;
    for (const text of redirections(key, `${host}:${port}`)) {
      await redis.set(key, "0");
      expect(await redis.eval(raise, 2, key, other, text).catch(messageOf)).toBe(text);
      expect(await redis.get(key)).toBe("1");
    }
    await migration.moveKeys();
    for (const text of redirections(key, `${migration.from.host}:${migration.from.port}`)) {
      await redis.set(key, "0");
      expect(await redis.eval(raise, 2, key, other, text).catch(messageOf)).toBe(text);
      expect(await redis.get(key)).toBe("1");
    }
    await migration.finish();
  });

  it("is not run again when the node is unreachable", async () => {
    const tidemark = await stage.open();
    const { host, port } = await stage.group.primaryOf(6_000);
    const text = `MOVED ${slotOf(key)} ${host}:${port}`;
    await tidemark.redis.del(key);
    const pipeline = tidemark.redis.pipeline().eval(raise, 1, key, text);
    // The connection closes behind the reply, so the question is not answered.
    pipeline.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no");
    const replies = await pipeline.exec();
    expect(messageOf(replies?.[0]?.[0])).toBe(text);
    await waitUntil(() => tidemark.redis.get(key).then((value) => value === "1"), {
      what: "the script has run once",
    });
  });
});

describe("a script that a node redirects", () => {
  const ways: Readonly<Record<string, (redis: Redis, key: string) => Promise<unknown>>> = {
    alone: (redis, key) => redis.eval(bump, 1, key),
    "as a custom command": (redis, key) => Reflect.get(redis, "bump").call(redis, key),
    "in a pipeline": async (redis, key) => (await redis.pipeline().eval(bump, 1, key).exec())?.[0]?.[1],
    "in a transaction": async (redis, key) => (await redis.multi().eval(bump, 1, key).exec())?.[0]?.[1],
  };

  it.each(Object.entries(ways))("runs once where its key is, during a migration: %s", async (_how, call) => {
    const tidemark = await stage.open();
    tidemark.redis.defineCommand("bump", { numberOfKeys: 1, lua: bump });
    const { redis } = tidemark.session();
    const { key, migration } = await aMigration();
    expect(await call(redis, key)).toBe(1);
    await migration.begin();
    expect(await call(redis, key)).toBe(2);
    await migration.moveKeys();
    expect(await call(redis, key)).toBe(3);
    await migration.finish();
    expect(await call(redis, key)).toBe(4);
    expect(await redis.get(key)).toBe("4");
    expect(await migration.to.server.admin().get(key)).toBe("4");
  });

  it("follows a slot that has moved unnoticed, and is not redirected again", async () => {
    const { redis } = (await stage.open()).session();
    const { key, migration } = await aMigration();
    await migration.run();
    expect(await redis.eval(bump, 1, key)).toBe(1);
    expect(stage.routes.of("eval")).toHaveLength(2);
    stage.routes.clear();
    expect(await redis.eval(bump, 1, key)).toBe(2);
    expect(stage.routes.of("eval")).toHaveLength(1);
  });

  it("is followed when the node has closed the connection behind the redirection", async () => {
    const { redis } = (await stage.open()).session();
    const { key, migration } = await aMigration();
    await migration.run();
    const pipeline = redis.pipeline().eval(bump, 1, key);
    // The connection closes behind the redirection, so the question whether it is one has to wait for the next connection.
    pipeline.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no");
    expect((await pipeline.exec())?.[0]).toEqual([null, 1]);
    expect(await redis.get(key)).toBe("1");
  });

  it("waits until all of its keys have arrived", async () => {
    const tidemark = await stage.open();
    const { redis } = tidemark.session();
    const { key, other, migration } = await aMigration();
    await redis.mset(key, "1", other, "1");
    await migration.begin();
    await migration.moveKeys(1);
    const before = sentCommands(tidemark);
    const reply = redis.eval(bump, 2, key, other);
    await waitUntil(() => sentCommands(tidemark) > before + 2, { what: "the script was sent again" });
    await migration.moveKeys();
    expect(await reply).toBe(2);
    await migration.finish();
    expect(await redis.get(key)).toBe("2");
  });

  it("waits until its slot is served again", async () => {
    const tidemark = await stage.open();
    const { redis } = tidemark.session();
    const { key, migration } = await aMigration();
    const owner = migration.from.server.admin();
    const callWhileDown = async (): Promise<unknown> => {
      const before = sentCommands(tidemark);
      await owner.call("CLUSTER", "DELSLOTS", migration.slot);
      const reply = redis.eval(bump, 1, key).catch(messageOf);
      try {
        await waitUntil(() => sentCommands(tidemark) > before + 2, { what: "the script was sent again" });
      } finally {
        await owner.call("CLUSTER", "ADDSLOTS", migration.slot);
      }
      return reply;
    };
    // The node may serve the slot again just when it is asked. Then the error counts as the script's own.
    await waitUntil(async () => (await callWhileDown()) === 1, { what: "the script has run" });
    expect(await redis.get(key)).toBe("1");
  });

  it.each(["with a session", "outside of sessions"])(
    "keeps its place among commands on its key %s",
    async (where) => {
      const tidemark = await stage.open();
      const redis = where === "with a session" ? tidemark.session().redis : tidemark.redis;
      const { key, migration } = await aMigration();
      // More than redirections are followed for one command.
      const values = Array.from({ length: 24 }, (_, i) => `${i}`);
      const pushAll = async (): Promise<void> => {
        const replies = values.map((value, i) =>
          i % 3 === 0 ? redis.rpush(key, value) : redis.eval(push, 1, key, value),
        );
        // Given while those before it are asked about, or on their way.
        const last = new Promise((resolve) => setImmediate(() => resolve(redis.rpush(key, "last"))));
        await Promise.all([...replies, last]);
        expect(await redis.lrange(key, 0, -1)).toEqual([...values, "last"]);
      };
      await migration.begin();
      await pushAll();
      await redis.del(key);
      await migration.finish();
      await pushAll();
    },
  );

  it("after WATCH aborts the transaction, and Tidemark then knows where its keys are", async () => {
    const { redis } = (await stage.open()).session();
    const { key, migration } = await aMigration();
    await redis.watch(key);
    await migration.run();
    await expect(redis.eval(bump, 1, key)).rejects.toThrow(TransactionLostError);
    await expect(redis.multi().incr(key).exec()).rejects.toThrow(TransactionLostError);
    expect(await redis.eval(bump, 1, key)).toBe(1);
  });
});
