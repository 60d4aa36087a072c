/** Dedicated connections follow the primary, whichever server that is. */
import { describe, expect, it } from "vitest";
import { ConnectionLostError, type Tidemark, TransactionLostError } from "../../src/index.js";
import { hasDoublings } from "../support/doublings.js";
import { type Deployment, deployments } from "../support/servers/deployment.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { stageOwn } from "../support/stages/own-stage.js";
import { waitUntil } from "../support/wait-until.js";

function expectLost(error: unknown): void {
  expect(error).toBeInstanceOf(ConnectionLostError);
}

/** How replicas are found makes no difference to connections that need none. */
const isDoubling = (name: string): boolean => name === "replicas that were discovered";
const tested = Object.entries(deployments).filter(([name]) => hasDoublings || !isDoubling(name));

// Each test has a deployment of its own, and mostly waits for its next primary.
describe.concurrent.each(tested)("on %s", (name, start) => {
  describe("a primary that moves", () => {
    const isSpread = name === "a cluster";
    const own = stageOwn(async (owe) => {
      const deployment = await start();
      owe(() => deployment.stop());
      const tidemark = deployment.open({ redis: { maxRetriesPerRequest: null } });
      owe(() => tidemark.close());
      await tidemark.ready();
      const { redis } = tidemark.session();
      await redis.set(deployment.key("k"), "1");
      await redis.xgroup("CREATE", deployment.key("stream"), "group", "$", "MKSTREAM");
      await deployment.caughtUp();
      return { deployment, tidemark, redis };
    });
    const deployment = (): Deployment => own().deployment;
    const tidemark = (): Tidemark => own().tidemark;
    const key = (of: string): string => deployment().key(of);

    /** The calls that are answered once the list and the stream of the new primary have data. */
    function give(): Promise<unknown>[] {
      const client = tidemark().session().redis;
      const transaction = tidemark().session().redis;
      const byHand = tidemark().session().redis;
      const watch = async () => {
        await transaction.watch(key("watched"));
        return transaction.multi().set(key("watched"), "1").exec();
      };
      const multi = async () => {
        // In a cluster a key has to say first where the transaction is.
        if (isSpread) await byHand.watch(key("by-hand"));
        await byHand.multi({ pipeline: false });
        await byHand.set(key("by-hand"), "1");
        return byHand.exec();
      };
      return [
        client.blpop(key("list"), 0),
        tidemark().redis.brpop(key("list"), 0),
        client.blmove(key("list"), key("moved"), "LEFT", "RIGHT", 0),
        client.xread("BLOCK", 0, "STREAMS", key("stream"), "$"),
        client.xreadgroup("GROUP", "group", "me", "BLOCK", 0, "STREAMS", key("stream"), ">"),
        client.pipeline().set(key("a"), "1").blpop(key("list"), 0).get(key("a")).exec(),
        watch(),
        multi(),
      ];
    }

    /** Answers what `give()` has given, again and again, since not all of it need have arrived yet. */
    async function answer(primary: RedisServer, given: readonly Promise<unknown>[]): Promise<unknown[]> {
      let isOver = false;
      const all = Promise.all(given).finally(() => {
        isOver = true;
      });
      all.catch(() => {});
      await waitUntil(
        async () => {
          if (isOver) return true;
          await primary.admin().rpush(key("list"), "job");
          await primary.admin().xadd(key("stream"), "*", "f", "v");
          return false;
        },
        { what: "all blocked commands are answered", timeoutMs: 20_000 },
      );
      return all;
    }

    function expectAnswers(answers: readonly unknown[]): void {
      const [blpop, brpop, blmove, xread, xreadgroup, pipeline, watch, multi] = answers;
      expect([blpop, brpop, blmove]).toEqual([[key("list"), "job"], [key("list"), "job"], "job"]);
      for (const read of [xread, xreadgroup])
        expect(read).toEqual([[key("stream"), expect.arrayContaining([[expect.any(String), ["f", "v"]]])]]);
      expect(pipeline).toEqual([
        [null, "OK"],
        [null, [key("list"), "job"]],
        [null, "1"],
      ]);
      expect([watch, multi]).toEqual([[[null, "OK"]], [[null, "OK"]]]);
    }

    /** Has the primary fail, and resolves with the next one. */
    async function fail(how: string): Promise<RedisServer> {
      if (how === "demoted") return deployment().demote();
      if (how === "frozen") await deployment().freeze();
      else await (await deployment().primary()).kill();
      return deployment().promoted();
    }

    it.each(["dead", "frozen"])(
      "carries out commands that were given while the primary was %s",
      async (how) => {
        if (how === "frozen") await deployment().freeze();
        else await (await deployment().primary()).kill();
        const given = give();
        for (const one of given) one.catch(() => {});
        expectAnswers(await answer(await deployment().promoted(), given));
      },
    );

    it("carries out the first commands after the primary has handed over", async () => {
      // So that there are kept connections to the old one.
      await answer(await deployment().primary(), give());
      const primary = await deployment().demote();
      expectAnswers(await answer(primary, give()));
    });

    it("continues with waiting commands when the primary has handed over", async () => {
      const client = tidemark().session().redis;
      const xread = client.xread("BLOCK", 0, "STREAMS", key("stream"), "$");
      const writes: Promise<unknown>[] = [
        client.blpop(key("list"), 0),
        tidemark().redis.brpop(key("list"), 0),
        client.xreadgroup("GROUP", "group", "me", "BLOCK", 0, "STREAMS", key("stream"), ">"),
      ];
      const old = await deployment().primary();
      await waitUntil(async () => Number((await old.info("clients")).blocked_clients) === 4, {
        what: "all four commands block",
      });
      // Sentinels tell the old primary only seconds later, so that nobody knows what it has carried out until then.
      const isUnknown = name.includes("Sentinels");
      const given = isUnknown ? writes.map((one) => one.catch(expectLost)) : writes;
      const primary = await deployment().demote();
      expect(await answer(primary, [xread, ...given])).toHaveLength(4);
    });

    it("limits the blocking time of a command from the moment it was given", async () => {
      await (await deployment().primary()).kill();
      const started = performance.now();
      const nothing = own().redis.blpop(key("empty"), 0.3);
      const later = own().redis.blpop(key("empty"), 6);
      await deployment().promoted();
      const waits = await Promise.all([
        nothing.then((reply) => [reply, performance.now() - started]),
        later.then((reply) => [reply, performance.now() - started]),
      ]);
      expect(waits.map(([reply]) => reply)).toEqual([null, null]);
      expect(waits[0]?.[1]).toBeGreaterThan(250);
      expect(waits[1]?.[1]).toBeGreaterThan(5_900);
      expect(waits[1]?.[1]).toBeLessThan(9_000);
    });

    it("reports a transaction that began before the handover once, and continues", async () => {
      const watching = tidemark().session().redis;
      const queueing = tidemark().session().redis;
      await watching.watch(key("k"));
      if (isSpread) await queueing.watch(key("k"));
      await queueing.multi({ pipeline: false });
      await queueing.set(key("k"), "2");
      const primary = await deployment().demote();
      await expect(watching.multi().set(key("k"), "3").exec()).rejects.toThrow(TransactionLostError);
      await expect(queueing.exec()).rejects.toThrow(TransactionLostError);
      for (const client of [watching, queueing]) {
        expect(await client.get(key("k"))).toBe("1");
        expect(await client.set(key("other"), "1")).toBe("OK");
        await client.watch(key("k"));
        expect(await client.multi().incr(key("n")).exec()).toEqual([[null, expect.any(Number)]]);
      }
      expect(await primary.admin().get(key("n"))).toBe("2");
    });

    it("sends commands after a lost transaction to the new primary", async () => {
      await own().redis.watch(key("k"));
      await deployment().demote();
      const lost = own().redis.multi().set(key("k"), "3").exec();
      const behind = [own().redis.incr(key("n")), own().redis.get(key("k"))];
      await expect(lost).rejects.toThrow(TransactionLostError);
      expect(await Promise.all(behind)).toEqual([1, "1"]);
    });

    it("sends a transaction after the writes of its session that the old primary has refused", async () => {
      await deployment().demote();
      const replies = [
        own().redis.set(key("k"), "new"),
        own().redis.watch(key("k")),
        own().redis.get(key("k")),
      ];
      expect(await Promise.all(replies)).toEqual(["OK", "OK", "new"]);
      await own().redis.unwatch();
    });

    it.each(["killed", "frozen", "demoted"])("subscriptions continue when the primary is %s", async (how) => {
      const heard: string[] = [];
      const events: string[] = [];
      for (const event of ["close", "reconnecting", "ready"])
        tidemark().redis.on(event, () => events.push(event));
      tidemark().redis.on("message", (channel, text) => heard.push(`${channel} ${text}`));
      tidemark().redis.on("pmessage", (pattern, _channel, text) => heard.push(`${pattern} ${text}`));
      tidemark().redis.on("smessage", (channel, text) => heard.push(`${channel} ${text}`));
      await tidemark().redis.subscribe("news");
      await tidemark().redis.psubscribe("new?");
      await tidemark().redis.ssubscribe(key("shard"));
      const primary = await fail(how);
      const isHeard = (text: string) => heard.includes(text);
      await waitUntil(
        async () => {
          await primary.admin().publish("news", "1");
          await primary.admin().spublish(key("shard"), "1");
          return ["news 1", "new? 1", `${key("shard")} 1`].every(isHeard);
        },
        { what: "messages arrive again", timeoutMs: 15_000 },
      );
      await waitUntil(() => events.at(-1) === "ready", { what: "the client is ready again" });
      expect(events.slice(0, 2)).toEqual(["close", "reconnecting"]);
    });

    it("accepts subscriptions while the primary is dead, and keeps them", async () => {
      const heard: unknown[] = [];
      tidemark().redis.on("message", (_channel, text) => heard.push(text));
      await (await deployment().primary()).kill();
      const subscribed = tidemark().redis.subscribe("news");
      const primary = await deployment().promoted();
      expect(await subscribed).toBe(1);
      await primary.admin().publish("news", "1");
      await waitUntil(() => heard.length > 0, { what: "the message arrives" });
    });

    it.each(["killed", "frozen", "demoted"])("duplicate() follows the primary when it is %s", async (how) => {
      await using client = deployment().open({
        redis: { maxRetriesPerRequest: null },
        primaryTimeoutMs: 1_000,
      });
      await waitUntil(() => client.topology().length > 1, { what: "the replicas are known" });
      const plain = client.redis.duplicate();
      await plain.set(key("plain"), "1");
      const primary = await fail(how);
      const isWritten = async () => {
        await plain.set(key("plain"), "3");
        return (await primary.admin().get(key("plain"))) === "3";
      };
      await waitUntil(isWritten, { what: "the duplicate writes to the new primary", timeoutMs: 15_000 });
      expect(await plain.multi().incr(key("count")).exec()).toEqual([[null, 1]]);
      plain.disconnect();
      await waitUntil(() => plain.status === "end", { what: "the plain client has ended" });
    });
  });
});
