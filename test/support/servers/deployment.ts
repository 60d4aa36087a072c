/** A primary and its replicas as people run them: named, discovered, watched by Sentinels, or as a cluster. */

import { type CommonOptions, Tidemark } from "../../../src/index.js";
import { keyIn } from "../stages/staged-cluster.js";
import { waitUntil } from "../wait-until.js";
import { caughtUp } from "./announced-node.js";
import { startClusterGroup } from "./cluster-group.js";
import { follows, replicaOf } from "./failover.js";
import type { RedisServer } from "./redis-server.js";
import { startReplicationGroup } from "./replication-group.js";
import { quickPeriods, startSentinelGroup } from "./sentinel-group.js";

export interface Deployment {
  /** A new Tidemark on it; the caller closes it. */
  open(options?: CommonOptions): Tidemark;
  /** A key that the primary holds. */
  key(name: string): string;
  /** The server that is the primary now. */
  primary(): Promise<RedisServer>;
  /** The replicas of the primary have everything that it had at this call. */
  caughtUp(): Promise<void>;
  /** Has another server promoted, where nobody does it unasked; resolves with the new primary. */
  promoted(): Promise<RedisServer>;
  /** Freezes the primary: its connections stay open, and nothing is answered. */
  freeze(): Promise<void>;
  /** Has the primary hand over to a replica and follow it, and resolves with the new primary. */
  demote(): Promise<RedisServer>;
  stop(): Promise<void>;
}

export const deployments = {
  "replicas that were named": () => byHand((primary, replicas) => ({ primary, replicas })),
  "replicas that were discovered": () => byHand((primary) => ({ primary })),
  "servers that Sentinels name": watched,
  "a cluster": spread,
} as const;

async function byHand(
  named: (primary: string, replicas: string[]) => { primary: string; replicas?: string[] },
): Promise<Deployment> {
  const group = await startReplicationGroup({ replicas: 2 });
  let current = group.primary;
  let frozen: RedisServer | undefined;
  return {
    open: (options = {}) => {
      const replicas = group.replicas.map(({ server }) => server.url);
      return new Tidemark({ ...named(group.primary.url, replicas), ...options });
    },
    key: (name) => name,
    primary: async () => current,
    caughtUp: () => group.caughtUp(),
    promoted: async () => {
      current = replicaOf(group);
      await current.replicate(undefined);
      await replicaOf(group, 1).replicate(current);
      return current;
    },
    freeze: async () => {
      current.pause();
      frozen = current;
    },
    demote: async () => {
      const heir = replicaOf(group);
      await current.admin().call("FAILOVER", "TO", heir.host, String(heir.port));
      await waitUntil(async () => (await heir.info("replication")).role === "master", {
        what: "the replica is promoted",
      });
      await follows(current, heir);
      current = heir;
      return heir;
    },
    stop: async () => {
      frozen?.resume();
      await group.stop();
    },
  };
}

async function watched(): Promise<Deployment> {
  const group = await startSentinelGroup({ periods: quickPeriods });
  let frozen: RedisServer | undefined;
  const promoted = async (): Promise<RedisServer> => {
    let server = (await group.primary()).server;
    const isPrimary = async (): Promise<boolean> => {
      server = (await group.primary()).server;
      return server.isAlive && server !== frozen && (await server.info("replication")).role === "master";
    };
    await waitUntil(isPrimary, { what: "Sentinels have promoted a replica", timeoutMs: 30_000 });
    return server;
  };
  return {
    open: (options = {}) => {
      const sentinels = group.sentinels.map(({ url }) => url);
      return new Tidemark({ sentinels, name: group.name, ...options });
    },
    key: (name) => name,
    primary: async () => (await group.primary()).server,
    caughtUp: () => group.caughtUp(),
    promoted,
    freeze: async () => {
      frozen = (await group.primary()).server;
      frozen.pause();
    },
    demote: async () => {
      await group.failover();
      return promoted();
    },
    stop: async () => {
      frozen?.resume();
      await group.stop();
    },
  };
}

async function spread(): Promise<Deployment> {
  const group = await startClusterGroup({ replicasPerShard: 1 });
  const slot = 1;
  const old = await group.primaryOf(slot);
  const [replica] = await group.replicasOf(old);
  if (replica === undefined) throw new Error("the shard has no replica");
  let frozen: RedisServer | undefined;
  const promoted = async (): Promise<RedisServer> => {
    const isPromoted = async (): Promise<boolean> =>
      (await replica.server.info("replication")).role === "master";
    await waitUntil(isPromoted, { what: "the promotion is known", timeoutMs: 30_000 });
    return replica.server;
  };
  return {
    open: (options = {}) => {
      const cluster = group.nodes.map(({ host, port }) => `redis://${host}:${port}`);
      return new Tidemark({ cluster, ...options });
    },
    key: (name) => keyIn(slot, name),
    primary: async () => (await group.primaryOf(slot)).server,
    caughtUp: () => caughtUp(old, [replica]),
    promoted,
    freeze: async () => {
      frozen = old.server;
      frozen.pause();
    },
    demote: async () => {
      await group.failover(replica);
      return replica.server;
    },
    stop: async () => {
      frozen?.resume();
      await group.stop();
    },
  };
}
