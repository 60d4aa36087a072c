/** Replies of real servers pass, in chunks of every size. */
import { Redis, type RedisOptions } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { guardReplies } from "../../src/connection/reply-guard.js";
import { ReplyScanner } from "../../src/connection/reply-scanner.js";
import { FakeServer, silence } from "../support/servers/fake-server.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { waitUntil } from "../support/wait-until.js";

let server: RedisServer;
let clients: Redis[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(() => {
  for (const redis of clients) redis.disconnect();
  clients = [];
});

afterAll(() => server.stop());

/** A client whose connection brings so many bytes at a time. */
function client(
  bytes: number,
  options: RedisOptions = {},
  { host, port }: Pick<RedisServer, "host" | "port"> = server,
): { redis: Redis; errors: Error[] } {
  const redis = new Redis({ ...options, host, port, replyMapping: undefined });
  clients.push(redis);
  guardReplies(redis);
  const errors: Error[] = [];
  redis.on("error", (error: Error) => errors.push(error));
  redis.on("connect", () => {
    const { stream } = redis;
    const whole: typeof stream.push = stream.push.bind(stream);
    stream.push = (chunk: Buffer | null) => {
      for (let at = 0; chunk !== null && at + bytes < chunk.length; at += bytes)
        whole(chunk.subarray(at, at + bytes));
      return whole(chunk === null ? null : chunk.subarray(Math.floor((chunk.length - 1) / bytes) * bytes));
    };
  });
  return { redis, errors };
}

describe.each([1, 2, 3, 7, 65_536])("replies that come %i bytes at a time", (bytes) => {
  describe.each([2, 3] as const)("over RESP%i", (protocol) => {
    it("arrive whole if they are strings of any kind", async () => {
      const { redis, errors } = client(bytes, { protocol });
      await redis.set("k", "");
      const given = [redis.get("k"), redis.info("replication"), redis.ping(), redis.getBuffer("k")];
      const [empty, info, pong, buffer] = await Promise.all(given);
      expect([empty, pong, buffer]).toEqual(["", "PONG", Buffer.alloc(0)]);
      expect(info).toMatch(/^# Replication\r\n(.*\r\n)*$/);
      expect(errors).toEqual([]);
    });

    it("all arrive, each for its own command", async () => {
      const { redis, errors } = client(bytes, { protocol });
      await redis.set("k", "v\r\n>1\r\n_\r\n");
      for (let round = 0; round < 3; round++) {
        const given = [
          ...[redis.get("k"), redis.get("nothing"), redis.incrby("n", 0), redis.mget("k", "nothing")],
          ...[redis.call("eval", "return {1, {2, {}, false}}", 0), redis.ping(), redis.hgetall("nothing")],
          ...[redis.call("zrange", "nothing", 0, -1), redis.call("set", "k").catch((error) => error.name)],
        ];
        expect(await Promise.all(given)).toEqual([
          ...["v\r\n>1\r\n_\r\n", null, 0, ["v\r\n>1\r\n_\r\n", null]],
          ...[[1, [2, [], null]], "PONG", {}],
          ...[[], "ReplyError"],
        ]);
      }
      expect(await redis.multi().set("a", "b").get("a").exec()).toEqual([
        [null, "OK"],
        [null, "b"],
      ]);
      expect(errors).toEqual([]);
    });

    it("arrive as pub/sub messages, in order", async () => {
      const { redis, errors } = client(bytes, { protocol });
      const { redis: other } = client(65_536);
      const heard: string[] = [];
      redis.on("message", (_channel, message) => heard.push(message));
      redis.on("pmessage", (_pattern, _channel, message) => heard.push(`p${message}`));
      await Promise.all([redis.subscribe("a", "b"), redis.psubscribe("a*"), redis.ping()]);
      const sent = Array.from({ length: 20 }, (_, i) => String(i));
      await Promise.all(sent.map((message) => other.publish("a", message)));
      await waitUntil(() => heard.length === 40, { what: "all messages have arrived" });
      expect(heard).toEqual(sent.flatMap((message) => [message, `p${message}`]));
      await Promise.all([redis.unsubscribe("a", "b"), redis.punsubscribe("a*")]);
      expect(await redis.get("nothing")).toBeNull();
      expect(errors).toEqual([]);
    });
  });
});

describe("a reply that ioredis 6 acts on before its last byte", () => {
  it("does not hide an invalid reply after it", async () => {
    const fake = await FakeServer.start(() => silence);
    try {
      const plain = { protocol: 2, enableReadyCheck: false, disableClientInfo: true } as const;
      const { redis, errors } = client(6, { ...plain, maxRetriesPerRequest: 0 }, fake);
      const given = Promise.allSettled([redis.get("k"), redis.subscribe("c"), redis.get("l")]);
      await waitUntil(() => fake.received.length === 3, { what: "the server has received all questions" });
      fake.send("$1\r\nv\r\n$-1\r\n");
      await waitUntil(() => errors.length > 0, { what: "the connection is closed" });
      expect(errors[0]?.message).toContain(
        "answered SUBSCRIBE with null, so Tidemark closed this connection",
      );
      expect((await given)[0]).toEqual({ status: "fulfilled", value: "v" });
    } finally {
      await fake.stop();
    }
  });
});

describe("an error that a listener throws", () => {
  it("is still an uncaught error of the process, and later messages arrive", async () => {
    const { redis } = client(65_536, { protocol: 2 });
    const { redis: other } = client(65_536);
    const [heard, thrown]: [string[], unknown[]] = [[], []];
    const keep = (error: unknown): void => void thrown.push(error);
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException").on("uncaughtException", keep);
    try {
      redis.on("message", (_channel, message) => {
        heard.push(message);
        if (message === "1") throw new Error("mine");
      });
      await redis.subscribe("c");
      await other.multi().publish("c", "0").publish("c", "1").publish("c", "2").publish("c", "3").exec();
      await waitUntil(() => heard.length === 4, { what: "all messages have arrived" });
    } finally {
      process.off("uncaughtException", keep);
      for (const listener of listeners) process.on("uncaughtException", listener);
    }
    expect(heard).toEqual(["0", "1", "2", "3"]);
    expect(thrown).toEqual([expect.objectContaining({ message: "mine" })]);
  });
});

describe("ReplyScanner", () => {
  const replies = [
    ...[
      "+OK\r\n",
      "-ERR no\r\n",
      ":1\r\n",
      ":-12\r\n",
      "$-1\r\n",
      "*-1\r\n",
      "$0\r\n\r\n",
      "$3\r\na\r\n\r\n",
      "*0\r\n",
    ],
    ...[
      "_\r\n",
      "#t\r\n",
      ",1.5e-3\r\n",
      ",inf\r\n",
      ",nan\r\n",
      "(123456789012345678901\r\n",
      "=5\r\ntxt:a\r\n",
    ],
    ...[
      "!3\r\nERR\r\n",
      "~2\r\n+a\r\n:1\r\n",
      "%1\r\n+a\r\n*2\r\n$1\r\nb\r\n_\r\n",
      ">2\r\n$1\r\na\r\n*0\r\n",
    ],
    "*3\r\n*2\r\n*0\r\n*1\r\n$-1\r\n$1\r\nx\r\n%1\r\n:1\r\n~0\r\n",
  ];

  it.each([1, 2, 3, 5, 1_000])("finds the end of each reply in chunks of %i bytes", (bytes) => {
    for (const keeps of [false, true]) {
      const scanner = new ReplyScanner(true, false);
      const all = Buffer.from(replies.join(""));
      const ends: number[] = [];
      for (let start = 0; start < all.length; start += bytes) {
        const chunk = all.subarray(start, start + bytes);
        for (let at = 0; at < chunk.length; ) {
          if (keeps && scanner.isBetween) scanner.keep();
          at = scanner.read(chunk, at);
          expect(scanner.fault).toBeUndefined();
          if (scanner.isBetween) ends.push(start + at);
        }
      }
      let end = 0;
      expect(ends).toEqual(replies.map((reply) => (end += reply.length)));
    }
  });
});
