/** A server that everybody reaches through a proxy, because it announces the proxy's port as its own. */

import { StreamProxy } from "../proxies/stream-proxy.js";
import { waitUntil } from "../wait-until.js";
import { freePort } from "./free-port.js";
import { type Address, RedisServer } from "./redis-server.js";
import { HOST } from "./server-arguments.js";

export interface AnnouncedNode extends Address {
  readonly server: RedisServer;
  /** The announced address: `host` and `port` are the proxy's. */
  readonly proxy: StreamProxy;
  stop(): Promise<void>;
}

interface AnnouncedNodeOptions {
  readonly args?: readonly string[];
  /** Lets sentinels write into it what the server shall be after a restart. */
  readonly config?: string;
  /** Further arguments that depend on the announced port. */
  readonly announce?: (port: number) => readonly string[];
  readonly findPort?: () => Promise<number>;
}

export async function startAnnouncedNode({
  args = [],
  config = "",
  announce = () => [],
  findPort = freePort,
}: AnnouncedNodeOptions): Promise<AnnouncedNode> {
  // Before the server, which must be told the port at its start.
  const proxy = await StreamProxy.start({ targetPort: 0 });
  const { port } = proxy;
  const announced = [
    "--replica-announce-ip",
    HOST,
    "--replica-announce-port",
    String(port),
    ...announce(port),
  ];
  try {
    const server = await RedisServer.start({ args: [...announced, ...args], config, findPort });
    proxy.retarget(server.port);
    const stop = async () => {
      await Promise.all([server.stop(), proxy.stop()]);
    };
    return { host: HOST, port, server, proxy, stop };
  } catch (error) {
    await proxy.stop();
    throw error;
  }
}

/** Whether the node is a replica of that primary and its synchronisation is over. */
export async function follows(node: AnnouncedNode, primary: AnnouncedNode): Promise<boolean> {
  const info = await node.server.info("replication");
  return (
    info.role === "slave" &&
    info.master_port === String(primary.port) &&
    info.master_link_status === "up" &&
    info.master_sync_in_progress === "0"
  );
}

/** Resolves once all replicas have applied what the primary had at this call. */
export async function caughtUp(primary: AnnouncedNode, replicas: readonly AnnouncedNode[]): Promise<void> {
  const { master_repl_offset: offset } = await primary.server.info("replication");
  const hasApplied = async (replica: AnnouncedNode) =>
    Number((await replica.server.info("replication")).slave_repl_offset) >= Number(offset) &&
    (await follows(replica, primary));
  await Promise.all(
    replicas.map((replica) =>
      waitUntil(() => hasApplied(replica), { what: `the replica at ${replica.port} has applied ${offset}` }),
    ),
  );
}

/** Resolves with what all give; if one fails, first stops those that have started. */
export async function startAll<Started extends { stop(): Promise<void> }>(
  starting: readonly Promise<Started>[],
): Promise<Started[]> {
  const starts = await Promise.allSettled(starting);
  const started = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  const failure = starts.find((start) => start.status === "rejected");
  if (failure === undefined) return started;
  await Promise.all(started.map((one) => one.stop()));
  throw failure.reason;
}
