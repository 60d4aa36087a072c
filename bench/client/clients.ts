/** The clients that are compared, each on connections of its own. */
import { GlideClient } from "@valkey/valkey-glide";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { Tidemark } from "tidemark";
import { key, type Operations, type Servers, value } from "./operations.js";

export type ClientName = "ioredis" | "autopipelining" | "node-redis" | "valkey-glide" | "tidemark";

export const clients: Readonly<Record<ClientName, (servers: Servers) => Promise<Operations>>> = {
  ioredis: (servers) => openIoredis(servers, false),
  autopipelining: (servers) => openIoredis(servers, true),
  "node-redis": openNodeRedis,
  "valkey-glide": openGlide,
  tidemark: openTidemark,
};

function replicaOf({ replicas: [replica] }: Servers): string {
  if (replica === undefined) throw new Error("there is no replica");
  return replica;
}

async function openIoredis(servers: Servers, enableAutoPipelining: boolean): Promise<Operations> {
  const primary = new Redis(servers.primary, { enableAutoPipelining });
  const replica = new Redis(replicaOf(servers), { enableAutoPipelining });
  const readAfter = async (pipeline: ReturnType<Redis["pipeline"]>): Promise<unknown> => {
    const results = await pipeline.get(key).exec();
    return results?.[1]?.[1];
  };
  return {
    read: () => replica.get(key),
    readWithPing: () => readAfter(replica.pipeline().ping()),
    readWithInfo: () => readAfter(replica.pipeline().info("replication")),
    write: () => primary.set(key, value),
  };
}

async function openNodeRedis(servers: Servers): Promise<Operations> {
  // Servers that are ended first are no failure.
  const open = (url: string) => createClient({ url }).on("error", () => {});
  const primary = await open(servers.primary).connect();
  const replica = await open(replicaOf(servers)).connect();
  return { read: () => replica.get(key), write: () => primary.set(key, value) };
}

async function openGlide({ primary, replicas }: Servers): Promise<Operations> {
  const addresses = [primary, ...replicas].map((url) => {
    const { hostname: host, port } = new URL(url);
    return { host, port: Number(port) };
  });
  // The default of 250 ms fails commands whenever another process has the CPU for that long.
  const requestTimeout = 10_000;
  const client = await GlideClient.createClient({ addresses, readFrom: "preferReplica", requestTimeout });
  return { read: () => client.get(key), write: () => client.set(key, value) };
}

async function openTidemark(servers: Servers): Promise<Operations> {
  const tidemark = new Tidemark(servers);
  await tidemark.ready();
  const session = tidemark.session();
  return {
    read: () => session.redis.get(key),
    readAnew: () => tidemark.session().redis.get(key),
    readChecked: (token) => tidemark.session({ token }).redis.get(key),
    write: () => session.redis.set(key, value),
  };
}
