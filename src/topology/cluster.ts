/** A Redis Cluster: a shard for each primary, and the shard that serves the slot of a key. */
import { setTimeout as pause } from "node:timers/promises";
import { Command, type RedisOptions } from "ioredis";
import { keyCount } from "../commands/command-kind.js";
import { isRedirection, type Target, targetIn } from "../commands/server-reply.js";
import type { Refusal } from "../connection/connection.js";
import { Node } from "../node/node.js";
import { Shard } from "../shard/shard.js";
import { AnnouncedAddresses, maxShards } from "./announced-addresses.js";
import { summarize } from "./fault-summary.js";
import { askForRedirection } from "./script-redirect.js";
import { type MovedSlots, parseSlotOwners, SlotMap, type SlotOwner, slotCount } from "./slot-map.js";
import { onPrimaryClosed, Patience, type Topology, type TopologyContext } from "./topology.js";

/** The nodes that the user has given, and the options for all nodes. */
export interface ClusterSetup {
  readonly seeds: readonly RedisOptions[];
  /** Options for all nodes. */
  readonly common: RedisOptions;
}

const nonsense =
  "its reply to CLUSTER SLOTS is not valid, so check that this is the address of a cluster node and not of a proxy";
const noSlots =
  "no node of its cluster serves slots, so assign them, for example with `redis-cli --cluster create`";
const noneAccepted =
  "accept() refuses every primary that it names, so make accept() return true for the nodes of your cluster";
const notOne = "so set this server as `primary` instead";

const pollMs = 10_000;
const pollWithoutPrimaryMs = 500;
/** How long a redirected command waits before it is sent again if the cluster is in the middle of a change. */
const pauseMs = 100;
/**
 * How long a node may take to answer a question. By default commands wait longer than this for a primary, so that their error can
 * name the silent node.
 */
const answerMs = 750;
/** If a node has not answered for this long, the next node is asked as well. */
const slowMs = 50;
/** How long nodes are asked at every poll after a change, because at first no node reports that a primary was made a replica. */
const unrestMs = 5_000;

export class ClusterTopology implements Topology {
  readonly #context: TopologyContext;
  readonly #seeds: readonly RedisOptions[];
  readonly #announced: AnnouncedAddresses;
  readonly #map = new SlotMap();
  /**
   * For each slot that has moved: a promise that resolves when the old shard of the slot has answered all commands that it was
   * sent.
   */
  readonly #leaving = new Map<number, Promise<void>>();
  #seedNodes: Node[] = [];
  #round: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #changedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** By address: why a node has failed to describe the cluster. Cleared when any node describes it. */
  readonly #faults = new Map<string, string>();
  readonly #patience: Patience;
  refusal: Refusal | undefined;

  constructor({ seeds, common }: ClusterSetup, context: TopologyContext) {
    this.#context = context;
    this.#patience = new Patience("cluster nodes", context.outages);
    this.#seeds = seeds;
    this.#announced = new AnnouncedAddresses(common, common.natMap, context.options.accept);
    if (!common.lazyConnect) this.open();
  }

  get shards(): readonly Shard[] {
    return this.#map.shards;
  }

  get fault(): string {
    return this.#faults.size === 0 ? "not connected" : summarize(this.#faults);
  }

  /** The shard that serves the slot of the command's keys, or any shard for a command without keys. */
  shardOf(command: Command): Shard | undefined {
    if (this.shards.length === 0) this.open();
    return this.#map.shardOf(keyCount(command) === 0 ? undefined : command.getSlot());
  }

  /**
   * If a node redirects a command with `error`: calls `again` when the command should be sent again. `again` gets a shard only if
   * the shard is for this command alone, as with ASK. Returns false for any other error.
   */
  redirect(error: Error, again: (asked?: Shard) => void): boolean {
    if (error.name !== "ReplyError" || this.#timer === undefined) return false;
    const target = targetIn(error);
    if (target !== undefined) return this.#follow(target, again);
    if (!isRedirection(error)) return false;
    this.#askOfChange();
    setTimeout(again, pauseMs);
    return true;
  }

  async confirm(
    script: Command,
    server: RedisOptions | undefined,
    isAsked: boolean,
  ): Promise<Error | undefined> {
    const node = server && this.#map.shardAt(server)?.find(server);
    return node && askForRedirection(node, script, isAsked);
  }

  settled(command: Command): Promise<void> | undefined {
    if (this.#leaving.size === 0 || keyCount(command) === 0) return undefined;
    return this.#leaving.get(command.getSlot());
  }

  open(): void {
    if (this.#timer !== undefined) return;
    for (const shard of this.shards) shard.open();
    this.#patience.begin();
    this.#timer = setInterval(() => this.#poll(), pollWithoutPrimaryMs).unref();
    this.#ask();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const shard of this.shards) shard.close();
    for (const node of this.#seedNodes) node.connection.close();
    this.#seedNodes = [];
  }

  /** Follows a redirection. Returns false if the redirection names an invalid slot, or a server that is not accepted. */
  #follow({ kind, slot, endpoint }: Target, again: (asked?: Shard) => void): boolean {
    const server = endpoint && this.#announced.reach(endpoint);
    if (slot >= slotCount || (endpoint !== undefined && server === undefined)) return false;
    const known = server && this.#map.shardAt(server);
    if (known !== undefined && kind === "ASK") {
      again(known);
      return true;
    }
    const asked = this.#askOfChange();
    if (known !== undefined && server !== undefined) {
      // During a failover the redirection names a replica of the shard. The shard makes the replica its primary, and sends commands
      // there once the replica itself reports that it is the primary.
      if (known.find(server) !== known.primary) known.assign(server, known.nodes.map(serverOf), "cluster");
      this.#settle(this.#map.move(slot, known));
      again();
      return true;
    }
    asked.then(() => {
      const shard = server && this.#map.shardAt(server);
      // If no node names the server as a primary yet, it is too early to send the command again.
      const isPrimary = server !== undefined && shard?.find(server) === shard?.primary;
      if (shard === undefined || !isPrimary) setTimeout(again, pauseMs);
      else again();
    });
    return true;
  }

  #poll(): void {
    this.#patience.check(this);
    const now = performance.now();
    const isDue = now - this.#askedAt > pollMs || now - this.#changedAt < unrestMs;
    if (isDue || this.shards.length === 0 || this.shards.some(({ isPrimaryReady }) => !isPrimaryReady))
      this.#ask();
  }

  /** Asks because something has shown that the cluster has changed. */
  #askOfChange(): Promise<void> {
    this.#changedAt = performance.now();
    return this.#ask();
  }

  /** Asks nodes until one describes the cluster. Only one round of questions runs at a time. */
  async #ask(): Promise<void> {
    if (this.#timer === undefined) return;
    this.#askedAt = performance.now();
    this.#round ??= this.#askAll().finally(() => {
      this.#round = undefined;
    });
    await this.#round;
  }

  async #askAll(): Promise<void> {
    const known = this.shards.flatMap(({ nodes }) => nodes).filter(({ connection }) => connection.ready);
    // Each round starts at a random node, so that Tidemark does not believe a node for long that is cut off from the others.
    const from = Math.floor(Math.random() * known.length);
    if (await this.#askInTurn([...known.slice(from), ...known.slice(0, from)])) return;
    if (this.#seedNodes.length === 0)
      this.#seedNodes = this.#seeds.map((server) => this.#connectSeed(server));
    const seedNodes = this.#seedNodes;
    const asked = seedNodes.map((node) => this.#askNode(node));
    Promise.all(asked).then((answered) => {
      const refusals = seedNodes.map(({ connection }) => connection.refusal);
      this.refusal = refusals.includes(undefined) ? undefined : refusals[0];
      if (!answered.includes(true) || this.#seedNodes !== seedNodes) return;
      for (const node of seedNodes) node.connection.close();
      this.#seedNodes = [];
    });
    await anyTrue(asked);
  }

  /** Asks the first node. If it does not describe the cluster within `slowMs`, asks the next node as well, and so on. */
  async #askInTurn([first, ...others]: readonly Node[]): Promise<boolean> {
    if (first === undefined) return false;
    const asked = this.#askNode(first);
    const isAnswered = await Promise.race([asked, pause(slowMs, undefined, { ref: false })]);
    if (isAnswered === true) return true;
    return anyTrue([asked, this.#askInTurn(others)]);
  }

  #connectSeed(server: RedisOptions): Node {
    return Node.dedicated({ ...server, enableOfflineQueue: true }, this.#context.options.primaryTimeoutMs);
  }

  async #askNode({ connection }: Node): Promise<boolean> {
    const ask = (about: string): Promise<unknown> => {
      const command = new Command("cluster", [about], { replyEncoding: "utf8" });
      const start = (error?: Error): void => (error ? command.reject(error) : connection.send(command));
      connection.whenReady(start, { command: "cluster", waits: true });
      return Promise.race([command.promise, timeout(command, connection)]);
    };
    try {
      const [slots, nodes] = await Promise.all([ask("SLOTS"), ask("NODES").catch(() => undefined)]);
      const { host = "localhost", port = 6379 } = connection.server;
      const owners = parseSlotOwners(slots, nodes, { host, port });
      if (owners === undefined) throw new Error(nonsense);
      if (owners.length === 0) throw new Error(noSlots);
      this.#adopt(owners);
      if (this.shards.length === 0) throw new Error(noneAccepted);
      this.#faults.clear();
      return true;
    } catch (error) {
      this.#faults.set(connection.address, faultOf(error));
      return false;
    }
  }

  #adopt(owners: readonly SlotOwner[]): void {
    if (this.#timer === undefined) return;
    const at = performance.now();
    for (const owner of owners) {
      if (!this.#map.isNewer(owner)) continue;
      const primary = this.#announced.reach(owner.primary);
      if (primary === undefined) continue;
      const known = this.#map.shardAt(primary);
      if (known === undefined && this.shards.length >= maxShards) {
        this.#announced.warnOfMany("shards", maxShards);
        continue;
      }
      const replicas = this.#announced.reachAll(owner.replicas, "replicas");
      known?.assign(primary, replicas, "cluster");
      this.#settle(this.#map.assign(known ?? this.#newShard(primary, replicas), owner, at));
    }
    for (const shard of this.#map.prune()) shard.close();
  }

  #settle(moved: MovedSlots): void {
    for (const [{ primary }, slots] of moved) {
      if (primary.connection.inFlight === 0) continue;
      const settled = answered(primary);
      for (const slot of slots) this.#leaving.set(slot, settled);
      settled.then(() => {
        for (const slot of slots) if (this.#leaving.get(slot) === settled) this.#leaving.delete(slot);
      });
    }
  }

  #newShard(primary: RedisOptions, replicas: readonly RedisOptions[]): Shard {
    const joined = onPrimaryClosed(this.#context, this, () => this.#askOfChange());
    const saw = (shard: Shard, node: Node): void => {
      if (node === shard.primary && shard.isPrimaryDemoted) this.#askOfChange();
    };
    const siblings = (): readonly Shard[] => this.shards;
    const options = { ...this.#context.options, hasArbiter: true, discovers: false };
    return new Shard(options, { primary, replicas }, { ...this.#context, joined, saw, siblings });
  }
}

/** Why a node has not described the cluster, and what to do. */
function faultOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith("ERR This instance has cluster support disabled")
    ? `${message}, ${notOne}`
    : message;
}

function serverOf({ connection }: Node): RedisOptions {
  return connection.server;
}

/** Resolves with true as soon as one of the promises does, and otherwise with false. */
function anyTrue(asked: readonly Promise<boolean>[]): Promise<boolean> {
  const successes = asked.map(async (one) => (await one) || Promise.reject());
  return Promise.any(successes).catch(() => false);
}

/** Resolves when a node has answered all commands that it was sent, or after `answerMs`. */
function answered(node: Node): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, answerMs);
    const over = (): void => {
      clearTimeout(timer);
      resolve();
    };
    node.drained().then(over, over);
  });
}

function timeout(command: Command, connection: Node["connection"]): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = (): void => reject(new Error(connection.ready ? "it does not answer" : connection.fault));
    const timer = setTimeout(giveUp, answerMs).unref();
    command.promise.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
  });
}
