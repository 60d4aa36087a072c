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
  return {
    read: () => replica.get(key),
    write: () => primary.set(key, value),
    close: async () => {
      primary.disconnect();
      replica.disconnect();
    },
  };
}

async function openNodeRedis(servers: Servers): Promise<Operations> {
  // Servers that are ended first are no failure.
  const open = (url: string) => createClient({ url }).on("error", () => {});
  const primary = await open(servers.primary).connect();
  const replica = await open(replicaOf(servers)).connect();
  return {
    read: () => replica.get(key),
    write: () => primary.set(key, value),
    close: async () => {
      primary.destroy();
      replica.destroy();
    },
  };
}

async function openGlide({ primary, replicas }: Servers): Promise<Operations> {
  const addresses = [primary, ...replicas].map((url) => {
    const { hostname: host, port } = new URL(url);
    return { host, port: Number(port) };
  });
  const client = await GlideClient.createClient({ addresses, readFrom: "preferReplica" });
  return {
    read: () => client.get(key),
    write: () => client.set(key, value),
    close: async () => client.close(),
  };
}

async function openTidemark(servers: Servers): Promise<Operations> {
  const tidemark = new Tidemark(servers);
  const others = new Tidemark(servers);
  await Promise.all([tidemark.ready(), others.ready()]);
  const session = tidemark.session();
  const other = others.session();
  let token = "";
  return {
    read: () => session.redis.get(key),
    write: () => session.redis.set(key, value),
    readAnew: () => tidemark.session().redis.get(key),
    readChecked: () => tidemark.session({ token }).redis.get(key),
    unsettle: async () => {
      await other.redis.set(key, value);
      await other.replicated(servers.replicas.length, { timeoutMs: 10_000 });
      await other.settled();
      token = other.token();
    },
    close: async () => {
      await Promise.all([tidemark.close(), others.close()]);
    },
  };
}
