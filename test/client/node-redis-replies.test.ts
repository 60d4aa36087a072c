/** A node-redis client on top of Tidemark returns the replies and errors of a real one. */
import { createClient, defineScript, RESP_TYPES } from "redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type NodeRedis, nodeRedis } from "../../src/client/node-redis.js";
import type { Tidemark } from "../../src/index.js";
import { calls } from "../support/commands/node-redis-calls.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

const stage = stageTidemark({ replicas: 1 }, (on) => {
  ({ group, tidemark } = on);
});

/** A client of a new session. */
function inSession(): NodeRedis {
  return nodeRedis(tidemark.session().redis);
}

/** The outcome of a call as a value, for replies and errors alike. */
async function outcomeOf(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return { reply: await call() };
  } catch (error) {
    if (!(error instanceof Error)) return { error };
    const { replies, errorIndexes } = Object.assign({ replies: undefined, errorIndexes: undefined }, error);
    return { error: error.constructor, message: error.message, replies, errorIndexes };
  }
}

/** Scripts and functions, given to `createClient` and to `nodeRedis` alike. */
const layer = {
  scripts: {
    appendTwice: defineScript({
      SCRIPT: "redis.call('append', KEYS[1], ARGV[1]) return redis.call('append', KEYS[1], ARGV[1])",
      NUMBER_OF_KEYS: 1,
      parseCommand: (parser, key: string, text: string) => {
        parser.pushKey(key);
        parser.push(text);
      },
      transformReply: (length: unknown) => ({ length }),
    }),
  },
  functions: {
    library: {
      greet: {
        NUMBER_OF_KEYS: 1,
        IS_READ_ONLY: true,
        parseCommand: (parser: { pushKey(key: string): unknown }, key: string) => {
          parser.pushKey(key);
        },
        transformReply: (greeting: unknown) => ({ greeting }),
      },
    },
  },
};
const library = `#!lua name=library
redis.register_function{function_name='greet',callback=function(keys) return 'hello '..keys[1] end,flags={'no-writes'}}`;

describe("The client on top of Tidemark returns the same as a real node-redis client:", () => {
  let real: NodeRedis;
  const expected = new Map<string, unknown>();
  const found = new Map<string, unknown>();

  beforeAll(async () => {
    real = createClient({ url: stage.group.primary.url, RESP: 2 });
    await real.connect();
    for (const [name, call] of Object.entries(calls)) expected.set(name, await outcomeOf(() => call(real)));
    await real.flushAll();
    await real.scriptFlush();
    await using ours = openTidemark(stage.group);
    const view = nodeRedis(ours.session().redis);
    for (const [name, call] of Object.entries(calls)) found.set(name, await outcomeOf(() => call(view)));
  });

  afterAll(() => real.destroy());

  it.each(Object.keys(calls))("%s", (name) => {
    expect(found.get(name)).toStrictEqual(expected.get(name));
  });

  it("sendCommand of Buffers, which node-redis 5 returns as strings", async () => {
    await group.primary.admin().set("bytes", Buffer.from([0, 255]));
    const client = inSession().withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    expect(await client.sendCommand(["GET", Buffer.from("bytes")])).toEqual(Buffer.from([0, 255]));
    // A real one gives statuses as strings: ioredis does not say which is which.
    expect(await client.set("bytes", "")).toEqual(Buffer.from("OK"));
  });

  it("scripts and functions given to createClient", async () => {
    await real.functionLoad(library, { REPLACE: true });
    const plain = createClient({ ...layer, url: group.primary.url, RESP: 2 });
    await plain.connect();
    const view = nodeRedis(tidemark.session().redis, layer);
    for (const client of [plain, view]) {
      await client.scriptFlush();
      await client.del("script");
      expect(await client.appendTwice("script", "x")).toEqual({ length: 2 });
      expect(await client.appendTwice("script", "x")).toEqual({ length: 4 });
      expect(await client.multi().appendTwice("script", "x").appendTwice("script", "x").exec()).toEqual([
        { length: 6 },
        { length: 8 },
      ]);
      expect(await client.library.greet("ada")).toEqual({ greeting: "hello ada" });
    }
    plain.destroy();
  });
});
