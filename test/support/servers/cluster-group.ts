/** A cluster of primaries that share the slots, and their replicas, each node behind proxies of its own. */

import { SLOTS } from "../commands/hash-slot.js";
import { started } from "../stages/started-groups.js";
import { waitUntil } from "../wait-until.js";
import { caughtUp, follows, startAll } from "./announced-node.js";
import { type ClusterNode, startClusterNode } from "./cluster-node.js";
import { type ListedNode, listOf, owns, selfOf, shardsOf, toldBy } from "./cluster-view.js";
import type { RedisServer } from "./redis-server.js";
import { HOST } from "./server-arguments.js";
import { SlotMigration } from "./slot-migration.js";

const READY_MS = 30_000;
/** Small, so that a dead primary is replaced soon. */
const NODE_TIMEOUT_MS = 2_000;

export interface ClusterGroupOptions {
  readonly shards?: number;
  readonly replicasPerShard?: number;
  /** How many shards have replicas, the first ones; default all. */
  readonly replicatedShards?: number;
  /** Further arguments for every node. */
  readonly args?: readonly string[];
}

/** Resolves when every node knows all others and who owns which slots, and all replicas are in sync. */
export function startClusterGroup(options: ClusterGroupOptions = {}): Promise<ClusterGroup> {
  return started(new ClusterGroup(), options);
}

export class ClusterGroup implements AsyncDisposable {
  readonly #nodes: ClusterNode[] = [];

  /** In the order of their start: at first the primaries by slots, then the replicas of each. */
  get nodes(): readonly ClusterNode[] {
    return this.#nodes;
  }

  async start({
    shards = 3,
    replicasPerShard = 1,
    replicatedShards = shards,
    args = [],
  }: ClusterGroupOptions): Promise<void> {
    const defaults = ["--cluster-node-timeout", String(NODE_TIMEOUT_MS)];
    // No replica may go over to another primary by itself.
    defaults.push("--cluster-migration-barrier", "100");
    const count = shards + replicatedShards * replicasPerShard;
    const startNode = () => startClusterNode([...defaults, ...args]);
    this.#nodes.push(...(await startAll(Array.from({ length: count }, startNode))));
    const primaries = this.#nodes.slice(0, shards);
    await Promise.all(primaries.map((node, i) => giveSlots(node, i, shards)));
    await this.#introduceAll();
    const replicas = this.#nodes.slice(shards);
    await Promise.all(
      replicas.map((node, i) => replicate(node, primaries[Math.floor(i / replicasPerShard)])),
    );
    for (const primary of primaries) {
      await this.#shardInSync(primary);
      // As long as a replica's offset is nothing, clients are not told of it.
      await primary.server.admin().flushall();
    }
    await this.ready();
  }

  /** The node that says it owns the slot; if several do, the one whose claim is newest. */
  async primaryOf(slot: number): Promise<ClusterNode> {
    const claims = (await this.#selves()).filter(({ self }) => self.flags.has("master") && owns(self, slot));
    const [newest] = claims.sort((one, other) => other.self.epoch - one.self.epoch);
    if (newest === undefined) throw new Error(`nobody who runs owns slot ${slot}`);
    return newest.node;
  }

  /** The nodes that say they are its replicas. */
  async replicasOf(primary: ClusterNode): Promise<ClusterNode[]> {
    const selves = await this.#selves();
    return selves.filter(({ self }) => self.primary === primary.id).map(({ node }) => node);
  }

  /**
   * All slots belong to nodes that run, all who run agree on who owns which, find nothing wrong with each other
   * and tell clients of all, and all replicas have applied what their primaries had.
   */
  async ready(): Promise<void> {
    await waitUntil(() => this.#isAgreed(), { what: "all nodes agree", timeoutMs: READY_MS });
    for (const { node, self } of await this.#selves()) {
      if (self.flags.has("master")) await this.#shardInSync(node);
    }
  }

  /** The steps by which a slot goes from its owner to another primary. */
  async migration(slot: number, to: ClusterNode): Promise<SlotMigration> {
    const from = await this.primaryOf(slot);
    const selves = await this.#selves();
    const primaries = selves.filter(({ self }) => self.flags.has("master")).map(({ node }) => node);
    const others = primaries.filter((node) => node !== from && node !== to);
    return new SlotMigration(slot, from, to, others);
  }

  /** Makes a replica the primary of its shard, and resolves once it and the old primary know. */
  async failover(replica: ClusterNode, ...how: readonly ("FORCE" | "TAKEOVER")[]): Promise<void> {
    const { primary } = await selfOf(replica.server);
    const old = this.#nodes.find(({ id }) => id === primary);
    await replica.server.admin().call("CLUSTER", "FAILOVER", ...how);
    const isOver = async () =>
      (await selfOf(replica.server)).flags.has("master") &&
      (!old?.server.isAlive || (await selfOf(old.server)).flags.has("slave"));
    await waitUntil(isOver, { what: `the replica at ${replica.port} is the primary`, timeoutMs: READY_MS });
  }

  /** Parts a node from all other nodes, in both directions, while clients still reach it. */
  isolate(node: ClusterNode): void {
    node.bus.cut();
    node.proxy.cut("replicas");
    for (const other of this.#others(node)) {
      other.bus.ban(node.id);
      other.proxy.cut(node.port);
    }
  }

  /** Ends `isolate()`. */
  rejoin(node: ClusterNode): void {
    node.bus.mend();
    node.proxy.mend("replicas");
    for (const other of this.#others(node)) {
      other.bus.admit(node.id);
      other.proxy.mend(node.port);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #others(node: ClusterNode): ClusterNode[] {
    return this.#nodes.filter((other) => other !== node);
  }

  #running(): ClusterNode[] {
    return this.#nodes.filter(({ server }) => server.isAlive);
  }

  #selves(): Promise<{ node: ClusterNode; self: ListedNode }[]> {
    return Promise.all(this.#running().map(async (node) => ({ node, self: await selfOf(node.server) })));
  }

  /** Everybody meets everybody, because it takes longer until they have heard of each other. */
  async #introduceAll(): Promise<void> {
    const meetings = this.#nodes.flatMap((node, i) =>
      this.#nodes
        .slice(i + 1)
        .map((other) => node.server.admin().call("CLUSTER", "MEET", HOST, other.port, other.bus.port)),
    );
    await Promise.all(meetings);
  }

  async #isAgreed(): Promise<boolean> {
    const selves = (await this.#selves()).map(({ self }) => self);
    if (selves.reduce((sum, self) => sum + slotsOf(self), 0) !== SLOTS) return false;
    const opinions = await Promise.all(this.#running().map(({ server }) => isContent(server, selves)));
    return opinions.every((isContent) => isContent);
  }

  async #shardInSync(primary: ClusterNode): Promise<void> {
    const replicas = await this.replicasOf(primary);
    const areLinked = async () =>
      (await Promise.all(replicas.map((replica) => follows(replica, primary)))).every((follows) => follows);
    await waitUntil(areLinked, { what: `replicas follow ${primary.port}`, timeoutMs: READY_MS });
    await caughtUp(primary, replicas);
  }
}

/** How many a primary owns; replicas list none. */
function slotsOf({ slots }: ListedNode): number {
  return slots.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** Whether a node finds the cluster well, and knows, and tells clients, of each node what that says of itself. */
async function isContent(server: RedisServer, selves: readonly ListedNode[]): Promise<boolean> {
  const state = String(await server.admin().call("CLUSTER", "INFO"));
  if (!state.includes("cluster_state:ok")) return false;
  const [list, told, shards] = await Promise.all([listOf(server), toldBy(server), shardsOf(server)]);
  return (
    selves.every((self) => isListedRight(self, list) && (told.has(self.port) || isIdle(self))) &&
    (shards === undefined || selves.every((self) => isWithItsPrimary(self, shards)))
  );
}

function isWithItsPrimary({ id, primary }: ListedNode, shards: readonly (readonly string[])[]): boolean {
  return shards.some((ids) => ids.includes(id) && (primary === undefined || ids.includes(primary)));
}

/** A primary without slots serves nobody. */
function isIdle(self: ListedNode): boolean {
  return self.primary === undefined && self.slots.length === 0;
}

/** Whether another node's list says of a node what that says of itself. */
function isListedRight(self: ListedNode, list: readonly ListedNode[]): boolean {
  const listed = list.find(({ id }) => id === self.id);
  if (listed === undefined || !listed.isConnected) return false;
  const doubts = ["fail?", "fail", "handshake", "noaddr"];
  return (
    listed.port === self.port &&
    listed.primary === self.primary &&
    listed.slots.join() === self.slots.join() &&
    !doubts.some((doubt) => listed.flags.has(doubt))
  );
}

/** An even share of the slots, and an epoch of its own, about which primaries that meet would otherwise quarrel. */
async function giveSlots(node: ClusterNode, index: number, shards: number): Promise<void> {
  const bound = (i: number) => Math.floor((i * SLOTS) / shards);
  const slots = Array.from({ length: bound(index + 1) - bound(index) }, (_, i) => bound(index) + i);
  await node.server.admin().call("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
  // Not ADDSLOTSRANGE, which Redis 6 has not.
  await node.server.admin().call("CLUSTER", "ADDSLOTS", ...slots);
}

async function replicate(node: ClusterNode, primary: ClusterNode | undefined): Promise<void> {
  if (primary === undefined) throw new Error("a replica has no primary to follow");
  // Refused until the node has met its primary.
  const isAccepted = async () =>
    (await node.server.admin().call("CLUSTER", "REPLICATE", primary.id)) === "OK";
  await waitUntil(isAccepted, { what: `${node.port} follows ${primary.port}` });
}
