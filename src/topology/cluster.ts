/** A Redis Cluster: a shard for each primary, and which of them serves a key's slot. */
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
import { type Left, parseSlotOwners, SlotMap, type SlotOwner, slotCount } from "./slot-map.js";
import { onPrimaryClosed, Patience, type Topology, type TopologyContext } from "./topology.js";

/** The nodes to begin with. */
export interface ClusterSetup {
  readonly seeds: readonly RedisOptions[];
  /** Options for all nodes. */
  readonly common: RedisOptions;
}

const nonsense =
  "its reply to CLUSTER SLOTS makes no sense; check that this is the address of a node of the cluster, not of a proxy";
const noSlots = "no node of its cluster serves slots; assign them, as `redis-cli --cluster create` does";
const noneAccepted =
  "accept() refuses every primary that it names; have it return true for those of your cluster";
const notOne = "give this server as `primary`";

const pollMs = 10_000;
const pollWithoutPrimaryMs = 500;
/** Until commands are sent again that met a cluster in the middle of a change. */
const pauseMs = 100;
/** Less than commands wait for a primary, so that their error can say which node did not answer. */
const answerMs = 750;
/** After so long without an answer the next node is asked, too. */
const slowMs = 50;
/** For how long after a change it is asked more often: at first nobody tells of a primary that was made a replica. */
const unrestMs = 5_000;

export class ClusterTopology implements Topology {
  readonly #ground: TopologyContext;
  readonly #seeds: readonly RedisOptions[];
  readonly #announced: AnnouncedAddresses;
  readonly #map = new SlotMap();
  /** Of slots that have moved: until all commands are answered that went to the shard they have left. */
  readonly #leaving = new Map<number, Promise<void>>();
  #begun: Node[] = [];
  #round: Promise<void> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  #changedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  /** Why nodes have not told, by their addresses, since one last has. */
  readonly #faults = new Map<string, string>();
  readonly #patience: Patience;
  refusal: Refusal | undefined;

  constructor({ seeds, common }: ClusterSetup, ground: TopologyContext) {
    this.#ground = ground;
    this.#patience = new Patience("cluster nodes", ground.naming);
    this.#seeds = seeds;
    this.#announced = new AnnouncedAddresses(common, common.natMap, ground.options.accept);
    if (!common.lazyConnect) this.open();
  }

  get shards(): readonly Shard[] {
    return this.#map.shards;
  }

  get fault(): string {
    return this.#faults.size === 0 ? "not connected" : summarize(this.#faults);
  }

  /** Of the key's slot; any for a command without keys. */
  shardOf(command: Command): Shard | undefined {
    if (this.shards.length === 0) this.open();
    return this.#map.shardOf(keyCount(command) === 0 ? undefined : command.getSlot());
  }

  /**
   * Takes in that a node has answered a command with an error that sends it elsewhere, and calls `again` when it is to be
   * sent again; with a shard, when that shard is to be asked for this once. False for any other error.
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
    for (const node of this.#begun) node.connection.close();
    this.#begun = [];
  }

  /** False where it leads to no slot, or to a server that is not accepted. */
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
      // In a failover it names a replica of the shard, which has to say itself that it is the primary by now.
      if (known.find(server) !== known.primary) known.assign(server, known.nodes.map(serverOf));
      this.#settle(this.#map.move(slot, known));
      again();
      return true;
    }
    asked.then(() => {
      const shard = server && this.#map.shardAt(server);
      // Not everybody knows yet: nothing is gained by asking at once.
      const isPrimary = server !== undefined && shard?.find(server) === shard?.primary;
      if (shard === undefined || !isPrimary) setTimeout(again, pauseMs);
      else again();
    });
    return true;
  }

  #poll(): void {
    this.#patience.look(this);
    const now = performance.now();
    const isDue = now - this.#askedAt > pollMs || now - this.#changedAt < unrestMs;
    if (isDue || this.shards.length === 0 || this.shards.some(({ hasPrimary }) => !hasPrimary)) this.#ask();
  }

  /** Asks because something has shown that what is known is not so any more. */
  #askOfChange(): Promise<void> {
    this.#changedAt = performance.now();
    return this.#ask();
  }

  /** Asks nodes until one tells of the cluster; one round at a time. */
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
    // Another one each time, so that one that was cut off from the rest is not believed for long.
    const from = Math.floor(Math.random() * known.length);
    if (await this.#askInTurn([...known.slice(from), ...known.slice(0, from)])) return;
    if (this.#begun.length === 0) this.#begun = this.#seeds.map((server) => this.#begin(server));
    const begun = this.#begun;
    const asked = begun.map((node) => this.#askNode(node));
    Promise.all(asked).then((told) => {
      const refusals = begun.map(({ connection }) => connection.refusal);
      this.refusal = refusals.includes(undefined) ? undefined : refusals[0];
      if (!told.includes(true) || this.#begun !== begun) return;
      for (const node of begun) node.connection.close();
      this.#begun = [];
    });
    await someTold(asked);
  }

  /** Asks the first node, and the others when it does not tell, or not soon. */
  async #askInTurn([first, ...others]: readonly Node[]): Promise<boolean> {
    if (first === undefined) return false;
    const asked = this.#askNode(first);
    const told = await Promise.race([asked, pause(slowMs, undefined, { ref: false })]);
    if (told === true) return true;
    return someTold([asked, this.#askInTurn(others)]);
  }

  #begin(server: RedisOptions): Node {
    return Node.dedicated({ ...server, enableOfflineQueue: true }, this.#ground.options.primaryTimeoutMs);
  }

  async #askNode({ connection }: Node): Promise<boolean> {
    const ask = (about: string): Promise<unknown> => {
      const command = new Command("cluster", [about], { replyEncoding: "utf8" });
      const start = (error?: Error): void => (error ? command.reject(error) : connection.send(command));
      connection.whenReady(start, { command: "cluster", waits: true });
      return Promise.race([command.promise, late(command, connection)]);
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
      known?.assign(primary, replicas);
      this.#settle(this.#map.assign(known ?? this.#found(primary, replicas), owner, at));
    }
    for (const shard of this.#map.prune()) shard.close();
  }

  #settle(left: Left): void {
    for (const [{ primary }, slots] of left) {
      if (primary.connection.inFlight === 0) continue;
      const settled = answered(primary);
      for (const slot of slots) this.#leaving.set(slot, settled);
      settled.then(() => {
        for (const slot of slots) if (this.#leaving.get(slot) === settled) this.#leaving.delete(slot);
      });
    }
  }

  #found(primary: RedisOptions, replicas: readonly RedisOptions[]): Shard {
    const { options, lineage, left } = this.#ground;
    const joined = onPrimaryClosed(this.#ground, this, () => this.#askOfChange());
    const saw = (shard: Shard, node: Node): void => {
      if (node === shard.primary && shard.demoted) this.#askOfChange();
    };
    const siblings = (): readonly Shard[] => this.shards;
    const surroundings = { lineage, joined, saw, left, siblings };
    return new Shard({ ...options, hasArbiter: true, discovers: false }, { primary, replicas }, surroundings);
  }
}

/** Why a node has not described the cluster, and what to do. */
function faultOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith("ERR This instance has cluster support disabled")
    ? `${message}; ${notOne}`
    : message;
}

function serverOf({ connection }: Node): RedisOptions {
  return connection.server;
}

/** Resolves with true as soon as one of them does, else with false. */
function someTold(asked: readonly Promise<boolean>[]): Promise<boolean> {
  const tellings = asked.map(async (told) => (await told) || Promise.reject());
  return Promise.any(tellings).catch(() => false);
}

/** Resolves when a node has answered everything that it was sent, or has been silent for too long. */
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

function late(command: Command, connection: Node["connection"]): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = (): void => reject(new Error(connection.ready ? "it does not answer" : connection.fault));
    const timer = setTimeout(giveUp, answerMs).unref();
    command.promise.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
  });
}
