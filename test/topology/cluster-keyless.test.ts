/** Commands without keys on a cluster: each goes to any one shard, as with ioredis's own cluster client. */
import { Cluster, type Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterNode } from "../support/servers/cluster-node.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";

const stage = stageCluster();
/** As many keys as its number in each shard, so that the shards can be told apart. */
const keys = [1, 6_000, 12_000].map((slot, i) =>
  Array.from({ length: i + 1 }, (_, n) => keyIn(slot, `${n}`)),
);
/** That one of three is passed over by all of them happens once in ten billion times. */
const manyTimes = 60;

type Client = Pick<
  Redis,
  "dbsize" | "flushall" | "flushdb" | "info" | "keys" | "ping" | "randomkey" | "scan" | "script"
>;

let cluster: Cluster;
let primaries: readonly ClusterNode[];
/** By ioredis's cluster client, in a session, and in none. */
let clients: readonly Client[];

beforeEach(async () => {
  const tidemark = await stage.open();
  cluster = new Cluster([{ host: "127.0.0.1", port: stage.group.nodes[0]?.port }]);
  primaries = await Promise.all([1, 6_000, 12_000].map((slot) => stage.group.primaryOf(slot)));
  clients = [cluster as unknown as Client, tidemark.session().redis, tidemark.redis];
});

afterEach(() => cluster.disconnect());

async function fill(): Promise<void> {
  await Promise.all(primaries.map(({ server }) => server.admin().flushall()));
  await Promise.all(keys.flat().map((key) => cluster.set(key, "v")));
}

/** All that a command is answered with, when it is given many times. */
async function answers(call: () => Promise<unknown>): Promise<unknown[]> {
  const all = await Promise.all(Array.from({ length: manyTimes }, call));
  return [...new Set(all.map((one) => JSON.stringify(one)))].sort().map((one) => JSON.parse(one));
}

/** Of how many primaries that is true. */
async function count(isSo: (server: Redis) => Promise<boolean>): Promise<number> {
  const all = await Promise.all(primaries.map(({ server }) => isSo(server.admin())));
  return all.filter((is) => is).length;
}

describe("a command without keys is answered by any one of the shards", () => {
  const looks: [string, (client: Client) => Promise<unknown>, () => unknown[]][] = [
    ["DBSIZE", (client) => client.dbsize(), () => [1, 2, 3]],
    ["KEYS", async (client) => (await client.keys("*")).sort(), () => keys.map((some) => [...some].sort())],
    ["RANDOMKEY", (client) => client.randomkey(), () => keys.flat()],
    ["SCAN", async (client) => (await client.scan(0))[1].sort(), () => keys.map((some) => [...some].sort())],
    ["PING", (client) => client.ping(), () => ["PONG"]],
    [
      "INFO",
      async (client) => Number(/tcp_port:(\d+)/.exec(await client.info("server"))?.[1]),
      () => primaries.map(({ server }) => server.port),
    ],
  ];
  it.each(looks)("%s", async (_, call, expected) => {
    await fill();
    const sorted = (all: unknown[]): unknown[] =>
      all.sort((one, other) => (String(one) < String(other) ? -1 : 1));
    for (const client of clients)
      expect(sorted(await answers(() => call(client)))).toEqual(sorted(expected()));
  });
});

describe("a command without keys changes one of the shards", () => {
  it.each(["flushall", "flushdb"] as const)("%s", async (name) => {
    for (const client of clients) {
      await fill();
      expect(await client[name]()).toBe("OK");
      expect(await count(async (server) => (await server.dbsize()) === 0)).toBe(1);
    }
  });

  it("SCRIPT LOAD, SCRIPT EXISTS and SCRIPT FLUSH", async () => {
    for (const [i, client] of clients.entries()) {
      await Promise.all(primaries.map(({ server }) => server.admin().script("FLUSH")));
      const sha = String(await client.script("LOAD", `return ${i}`));
      const isKnown = async (server: Redis) => String(await server.script("EXISTS", sha)) === "1";
      expect(await count(isKnown)).toBe(1);
      expect(await answers(() => client.script("EXISTS", sha) as Promise<unknown>)).toEqual([[0], [1]]);
      await Promise.all(primaries.map(({ server }) => server.admin().script("LOAD", `return ${i}`)));
      expect(await client.script("FLUSH")).toBe("OK");
      expect(await count(isKnown)).toBe(2);
    }
  });
});
