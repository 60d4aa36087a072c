/** Replicas' acknowledgements: what a shard was written is waited for in groups, on connections of their own. */

import { Command } from "ioredis";
import type { WriteConcern } from "../consistency/write-concern.js";
import { NotReplicatedError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import { clusterCommand, infoCommand, isOfNoCluster } from "../node/own-commands.js";
import type { Position } from "../replication/position.js";
import {
  parseAcknowledgedOffsets,
  parseReplicaCount,
  parseReplicationInfo,
} from "../replication/replication-info.js";
import { Shard } from "../shard/shard.js";
import type { Topology } from "../topology/topology.js";
import type { ConnectionPool } from "./connection-pool.js";

interface Waiter {
  readonly position: Position;
  readonly wanted: WriteConcern;
  /** By when, on the monotonic clock. */
  readonly until: number;
  readonly resolve: (replicas: number) => void;
  readonly reject: (error: Error) => void;
}

/** What a server has said behind a fence: in which history, and how many replicas have all of it. */
interface Answer {
  readonly replid: string;
  readonly wanted: number;
  readonly replicas: number;
  /** Up to where each of them had acknowledged it before, where that counts. */
  readonly acknowledged: readonly number[];
}

/** What all of a group have in common. */
interface Kind extends Omit<WriteConcern, "timeoutMs"> {
  /** None of them waits for less. */
  readonly leastMs: number;
}

/** A server that answers so much later than it was told to is taken to be gone. */
const graceMs = 250;
/** What those are told then whose own time is over, too. */
const silence = new Error("the primary did not answer");
/** Longer than this no timer runs. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * All that waits for as many replicas of one shard, and for times that do not differ by more than twice, so that there are
 * few groups whatever is asked for. Acknowledgements only grow, so that none overtakes another.
 */
class Group {
  readonly #shard: Shard;
  readonly #kind: Kind;
  readonly #pool: ConnectionPool;
  readonly #fence: Fence;
  /** Called when nobody waits any more; the group is not used again then. */
  readonly #onIdle: () => void;
  #waiters: Waiter[] = [];
  #isRunning = false;

  constructor(shard: Shard, kind: Kind, pool: ConnectionPool, fence: Fence, onIdle: () => void) {
    this.#onIdle = onIdle;
    this.#shard = shard;
    this.#kind = kind;
    this.#pool = pool;
    this.#fence = fence;
  }

  add(waiter: Waiter): void {
    this.#waiters.push(waiter);
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Behind all those whose writes were answered in the same packet.
    process.nextTick(() => this.#run());
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const node = this.#pool.acquire(this.#shard.primary);
    let isSound = true;
    while (this.#waiters.length > 0 && isSound) {
      const waiters = this.#waiters;
      this.#waiters = [];
      try {
        const until = waiters.reduce((least, one) => Math.min(least, one.until), this.#latest());
        this.#settle(waiters, await within(until + graceMs, this.#ask(node, until)));
      } catch (error) {
        isSound = false;
        const now = performance.now();
        for (const waiter of waiters) {
          if (error === silence && now < waiter.until) this.#waiters.push(waiter);
          else waiter.reject(missed(waiter, undefined, error));
        }
      }
    }
    if (isSound) this.#pool.release(node);
    else this.#pool.end(node);
    if (this.#waiters.length > 0) this.#run();
    else this.#onIdle();
  }

  /** Only what is in the history of the server that was asked is held by those that follow it. */
  #settle(waiters: readonly Waiter[], answer: Answer): void {
    const now = performance.now();
    const { replid, wanted } = answer;
    for (const waiter of waiters) {
      const { position } = waiter;
      const replicas = holdersOf(position, answer);
      const isThere =
        position.replid === replid || this.#shard.lineage.presenceOf(position, replid) === "valid";
      if (!isThere)
        waiter.reject(missed(waiter, undefined, new Error("the primary has another history by now")));
      else if (wanted > 0 && replicas >= wanted) waiter.resolve(replicas);
      else if (wanted === 0 || now >= waiter.until) waiter.reject(missed(waiter, replicas));
      else this.#waiters.push(waiter);
    }
  }

  async #ask(node: Node, until: number): Promise<Answer> {
    const { connection } = node;
    const { replicas, fsync } = this.#kind;
    await new Promise<void>((resolve, reject) => {
      const start = (error?: Error): void => (error === undefined ? resolve() : reject(error));
      connection.whenReady(start, { command: fsync ? "WAITAOF" : "WAIT" });
    });
    const send = (command: Command): Promise<unknown> => {
      connection.send(command);
      return command.promise;
    };
    connection.beginTurn();
    const [, info] = await Promise.all([this.#fence.raise(send, fsync), send(infoCommand())]);
    const replication = parseReplicationInfo(info);
    if (replication?.role !== "primary") throw new Error("the server is not a primary");
    const wanted = replicas === "all" ? parseReplicaCount(String(info)) : replicas;
    const ms = Math.max(1, Math.ceil(until - performance.now()));
    const command = fsync
      ? new Command("waitaof", [1, wanted, ms], { replyEncoding: "utf8" })
      : new Command("wait", [wanted, ms], { replyEncoding: "utf8" });
    const reply = wanted === 0 ? 0 : await send(command);
    const [local, remote] = Array.isArray(reply) ? reply.map(Number) : [1, Number(reply)];
    const acknowledged = fsync ? [] : parseAcknowledgedOffsets(String(info));
    const held = local === 0 ? 0 : (remote ?? 0);
    return { replid: replication.replid, wanted, replicas: held, acknowledged };
  }

  /** By when a WAIT is over, so that those who come meanwhile have half of their time or more for one of their own. */
  #latest(): number {
    // A file that is flushed once a second on each server needs one fence that stands for longer.
    return this.#kind.fsync ? Number.POSITIVE_INFINITY : performance.now() + this.#kind.leastMs / 2;
  }
}

/** How many hold what was written at `position`: that may be older than the fence, and known of more of them. */
function holdersOf(position: Position, { replid, replicas, acknowledged }: Answer): number {
  if (position.replid !== replid) return replicas;
  return Math.max(replicas, acknowledged.filter((offset) => offset >= position.offset).length);
}

function missed({ wanted }: Waiter, replicas: number | undefined, cause?: unknown): NotReplicatedError {
  return new NotReplicatedError(wanted.replicas, replicas, wanted.timeoutMs, cause);
}

/** The groups of all shards. */
export class ReplicaAcks {
  readonly #pool: ConnectionPool;
  readonly #topology: Pick<Topology, "shardOf" | "shards">;
  readonly #groups = new WeakMap<Shard, Map<string, Group>>();
  readonly #fences = new WeakMap<Shard, Fence>();

  constructor(pool: ConnectionPool, topology: Pick<Topology, "shardOf" | "shards">) {
    this.#pool = pool;
    this.#topology = topology;
  }

  /**
   * Resolves with how many replicas hold what `shard` had been written at `position`; rejects with a
   * {@link NotReplicatedError} when they are too few in time.
   */
  wait(given: object | undefined, position: Position | undefined, wanted: WriteConcern): Promise<number> {
    const { replicas, timeoutMs } = wanted;
    const shard = position && (given ?? this.#shardOf(position));
    if (position === undefined || !(shard instanceof Shard)) {
      const cause = new Error("where the write is in the stream is not known");
      return Promise.reject(new NotReplicatedError(replicas, undefined, timeoutMs, cause));
    }
    const until = performance.now() + timeoutMs;
    return new Promise((resolve, reject) => {
      this.#groupOf(shard, wanted).add({ position, wanted, until, resolve, reject });
    });
  }

  /** The shard whose history `position` is of. */
  #shardOf(position: Position): Shard | undefined {
    return this.#topology.shards.find((shard) => shard.outcome(position) === "valid");
  }

  #groupOf(shard: Shard, wanted: WriteConcern): Group {
    const groups = this.#groups.get(shard) ?? new Map<string, Group>();
    this.#groups.set(shard, groups);
    const { replicas, timeoutMs, fsync } = wanted;
    const leastMs = 2 ** Math.floor(Math.log2(timeoutMs));
    const key = `${replicas} ${leastMs} ${fsync}`;
    const group =
      groups.get(key) ??
      new Group(shard, { replicas, leastMs, fsync }, this.#pool, this.#fenceOf(shard), () =>
        groups.delete(key),
      );
    groups.set(key, group);
    return group;
  }

  #fenceOf(shard: Shard): Fence {
    const fence = this.#fences.get(shard) ?? new Fence(shard, this.#topology);
    this.#fences.set(shard, fence);
    return fence;
  }
}

/** What `promise` gives, or a rejection at `until` on the monotonic clock. */
function within<T>(until: number, promise: Promise<T>): Promise<T> {
  let deadline: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const ms = Math.min(maxTimerMs, until - performance.now());
    deadline = setTimeout(() => reject(silence), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(deadline));
}

type Send = (command: Command) => Promise<unknown>;

const channel = "tidemark:fence";
/** Long enough for a slow server, short enough to be nothing. */
const lifeMs = "1000";
const maxTags = 100_000;

export class Fence {
  readonly #shard: Shard;
  readonly #topology: Pick<Topology, "shardOf">;
  /** Whether a message may do; else a key has to. */
  #speaks: boolean;

  constructor(shard: Shard, topology: Pick<Topology, "shardOf">) {
    this.#shard = shard;
    this.#topology = topology;
    this.#speaks = shard.holdsAllKeys;
  }

  /** Moves the offset of the primary by what `send` sends; `isOnDisk` when append-only files have to have it too. */
  async raise(send: Send, isOnDisk: boolean): Promise<void> {
    if (this.#speaks && !isOnDisk) this.#speaks = await speak(send);
    if (!this.#speaks || isOnDisk) await send(this.#key());
  }

  #key(): Command {
    for (let tag = 0; tag < maxTags; tag++) {
      const command = new Command("set", [`${channel}:{${tag}}`, "", "PX", lifeMs]);
      if (this.#shard.holdsAllKeys || this.#topology.shardOf(command) === this.#shard) return command;
    }
    throw new Error("the shard has no slot");
  }
}

/** Sends a message; whether it is in the stream of replication. */
async function speak(send: Send): Promise<boolean> {
  try {
    const [, reply] = await Promise.all([
      send(new Command("publish", [channel, ""])),
      send(clusterCommand()),
    ]);
    // The nodes of a cluster tell each other of messages instead, also when one of them was named as a server of its own.
    return isOfNoCluster(reply);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("NOPERM")) return false;
    throw error;
  }
}
