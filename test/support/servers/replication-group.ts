/** A primary and its replicas, each behind a lag proxy of its own. */

import { LagProxy } from "../proxies/lag-proxy.js";
import { waitUntil } from "../wait-until.js";
import { RedisServer } from "./redis-server.js";

export interface ReplicationGroupOptions {
  readonly replicas: number;
  /** Further arguments for every server. */
  readonly args?: readonly string[];
  /** Applied once the group is ready, so that the first synchronisation stays fast. */
  readonly lag?: { readonly ms: number; readonly jitterMs?: number };
}

export interface GroupReplica {
  readonly server: RedisServer;
  /** The proxy between this replica and the primary. */
  readonly link: LagProxy;
}

export interface ReplicationGroup extends AsyncDisposable {
  readonly primary: RedisServer;
  readonly replicas: readonly GroupReplica[];
  /** Every replica is connected, in sync, and has applied what the primary had at this call. */
  ready(): Promise<void>;
  /** Every replica has applied what the primary had at this call. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
}

/** Resolves when every replica is connected and in sync. */
export async function startReplicationGroup({
  replicas: count,
  args = [],
  lag,
}: ReplicationGroupOptions): Promise<ReplicationGroup> {
  const group = await startUnconnected(count, args);
  try {
    // Only now, because a replica whose primary does not answer yet tries again a second later.
    await Promise.all(
      group.replicas.map(({ server, link }) => {
        link.retarget(group.primary.port);
        return server.replicate(link);
      }),
    );
    await group.ready();
    for (const { link } of group.replicas) link.delay(lag?.ms ?? 0, lag?.jitterMs);
    return group;
  } catch (error) {
    await group.stop();
    throw error;
  }
}

async function startUnconnected(count: number, args: readonly string[]): Promise<ReplicationGroup> {
  const links = await Promise.all(Array.from({ length: count }, () => LagProxy.start({ targetPort: 0 })));
  const starts = await Promise.allSettled(
    Array.from({ length: count + 1 }, () => RedisServer.start({ args })),
  );
  const servers = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  const [primary, ...others] = servers;
  const failure = starts.find((start) => start.status === "rejected");
  if (!primary || failure) {
    await Promise.all([...servers, ...links].map((started) => started.stop()));
    throw failure?.reason;
  }
  const replicas = others.flatMap((server, i) => {
    const link = links[i];
    return link ? [{ server, link }] : [];
  });
  return assemble(primary, replicas);
}

function assemble(primary: RedisServer, replicas: readonly GroupReplica[]): ReplicationGroup {
  const servers = replicas.map(({ server }) => server);
  const stop = async (): Promise<void> => {
    await Promise.all([
      primary.stop(),
      ...replicas.flatMap(({ server, link }) => [server.stop(), link.stop()]),
    ]);
  };
  return {
    primary,
    replicas,
    ready: async () => {
      await eachReplica(servers, "is in sync", isInSync);
      await caughtUp(primary, servers);
    },
    caughtUp: () => caughtUp(primary, servers),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

type ReplicationInfo = Record<string, string>;

function isInSync(info: ReplicationInfo): boolean {
  return info.master_link_status === "up" && info.master_sync_in_progress === "0";
}

/** A server that reports its INFO, wherever it runs. */
type Informant = Pick<RedisServer, "info">;

/** Resolves when every replica has applied what the primary had at this call. */
export async function caughtUp(primary: Informant, replicas: readonly Informant[]): Promise<void> {
  const { master_repl_offset: offset = "" } = await primary.info("replication");
  await eachReplica(
    replicas,
    `has applied offset ${offset}`,
    (info) => isInSync(info) && Number(info.slave_repl_offset) >= Number(offset),
  );
}

async function eachReplica(
  replicas: readonly Informant[],
  state: string,
  isReached: (info: ReplicationInfo) => boolean,
): Promise<void> {
  await Promise.all(
    replicas.map((replica, i) =>
      waitUntil(async () => isReached(await replica.info("replication")), { what: `replica ${i} ${state}` }),
    ),
  );
}
