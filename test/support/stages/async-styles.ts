import { EventEmitter, once } from "node:events";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Redis } from "ioredis";
import { expect } from "vitest";
import type { Passenger } from "./served-requests.js";

/** The work of a request, and how many checks and commands it contains. */
export interface Way {
  readonly looks: number;
  readonly commands: number;
  travel(redis: Redis, passenger: Passenger): Promise<unknown>;
}

export const ways: Readonly<Record<string, Way>> = {
  await: {
    looks: 3,
    commands: 3,
    async travel(redis, { key, look }) {
      await redis.set(key, key);
      look();
      await redis.get(key);
      look();
      await expect(redis.hget(key, "field")).rejects.toThrow(/^WRONGTYPE/);
      look();
    },
  },
  "then, catch and finally": {
    looks: 3,
    commands: 2,
    travel: (redis, { key, look }) =>
      redis
        .set(key, key)
        .then(look)
        .then(() => redis.hget(key, "field"))
        .catch(look)
        .finally(look),
  },
  callbacks: {
    looks: 3,
    commands: 3,
    travel: (redis, { key, look }) =>
      new Promise<void>((resolve) => {
        redis.set(key, key, () => {
          look();
          redis.get(key, () => {
            look();
            redis.hget(key, "field", () => {
              look();
              resolve();
            });
          });
        });
      }),
  },
  "timers, ticks and immediates": {
    looks: 4,
    commands: 4,
    async travel(redis, { key, look }) {
      const hops = [
        (next: () => void) => setTimeout(next, 1),
        (next: () => void) => setImmediate(next),
        (next: () => void) => process.nextTick(next),
        (next: () => void) => queueMicrotask(next),
      ];
      for (const hop of hops) {
        await new Promise((resolve) => hop(() => redis.incr(key, resolve)));
        look();
      }
    },
  },
  "event emitters": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      const emitter = new EventEmitter();
      emitter.on("written", () => {
        look();
        redis.get(key, () => {
          look();
          emitter.emit("read");
        });
      });
      redis.set(key, key, () => emitter.emit("written"));
      await once(emitter, "read");
    },
  },
  "pipelines and transactions": {
    looks: 5,
    commands: 11,
    async travel(redis, { key, look }) {
      await redis
        .pipeline()
        .set(key, key, look)
        .get(key)
        .exec(() => look());
      await redis.pipeline([["get", key]]).exec();
      look();
      await redis.multi().set(key, key).get(key).exec();
      look();
      await redis.multi().get(key).exec(look);
      await redis.set(key, key);
    },
  },
  "scan streams": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      await redis.hset(key, "field", "value");
      const stream = redis.hscanStream(key);
      stream.on("data", look);
      stream.on("end", look);
      await once(stream, "close");
    },
  },
  "streams that are piped": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      await redis.hset(key, "field", "value");
      const last = new PassThrough({ objectMode: true });
      last.on("data", look);
      await pipeline(redis.hscanStream(key), last);
      look();
    },
  },
  "scripts that servers have to be told": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      const put: unknown = Reflect.get(redis, "put");
      if (typeof put !== "function") throw new Error("the script is not defined");
      await put.call(redis, key, key);
      look();
      await new Promise((resolve) => put.call(redis, key, key, resolve));
      look();
    },
  },
  "transactions by hand": {
    looks: 3,
    commands: 4,
    async travel(redis, { key, look }) {
      await redis.watch(key);
      look();
      await redis.get(key);
      look();
      await redis.multi().set(key, key).exec();
      look();
    },
  },
};
