/** Waits in groups, on dedicated connections, until replicas acknowledge the writes of a shard. */

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
  /** The deadline on the monotonic clock. */
  readonly until: number;
  readonly resolve: (replicas: number) => void;
  readonly reject: (error: Error) => void;
}

/** The answer of a primary after a {@link Fence}: its history, and how many replicas have everything up to the fence. */
interface Answer {
  readonly replid: string;
  readonly wanted: number;
  readonly replicas: number;
  /**
   * The offsets that the replicas had acknowledged before the fence. Empty with `fsync`, because the offsets show nothing about
   * files.
   */
  readonly acknowledged: readonly number[];
}

/** The properties that all waiters of a group share. */
interface Kind extends Omit<WriteConcern, "timeoutMs"> {
  /** The timeout of every waiter in the group is at least this long, in milliseconds. */
  readonly leastMs: number;
}

/** A server is taken to be gone if it answers this much later than the timeout that it was given. */
const graceMs = 250;
/** The cause of the error if the server is gone and the time of a waiter is over. */
const silence = new Error("the primary did not answer");
/** No timer runs longer than this. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * All waiters for the same number of replicas of one shard, with timeouts that do not differ by more than a factor of two. There
 * are few groups, whatever timeouts callers choose. Acknowledgements only grow, so no waiter overtakes another.
 */
class Group {
  readonly #shard: Shard;
  readonly #kind: Kind;
  readonly #pool: ConnectionPool;
  readonly #fence: Fence;
  /** Called when nobody waits any more. The group is not used again after that. */
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
    // Starts after all waiters have joined whose writes were answered in the same packet.
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

  /**
   * Settles the waiters whose outcome is known now. The replicas of the server that was asked hold only writes in the history of
   * that server.
   */
  #settle(waiters: readonly Waiter[], answer: Answer): void {
    const now = performance.now();
    const { replid, wanted } = answer;
    for (const waiter of waiters) {
      const { position } = waiter;
      const replicas = holdersOf(position, answer);
      const isThere =
        position.replid === replid || this.#shard.lineage.presenceOf(position, replid) === "valid";
      if (!isThere)
        waiter.reject(
          missed(
            waiter,
            undefined,
            new Error("the primary's replication history has changed since the write"),
          ),
        );
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
    if (replication?.role !== "primary") throw new Error("the server does not report that it is a primary");
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

  /** The time by which a WAIT is over. Waiters that are added during a WAIT keep at least half of their time for the next one. */
  #latest(): number {
    // If servers flush their append-only files once a second, one WAITAOF has to be able to wait for longer.
    return this.#kind.fsync ? Number.POSITIVE_INFINITY : performance.now() + this.#kind.leastMs / 2;
  }
}

/**
 * How many replicas hold the write at `position`. That position may be older than the fence, so more replicas may be known to
 * hold it.
 */
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
   * Resolves with the number of replicas that hold everything that was written to the shard up to `position`. Rejects with a {@link
   * NotReplicatedError} if too few replicas hold it in time. `given` is the shard, if the caller knows it.
   */
  wait(given: object | undefined, position: Position | undefined, wanted: WriteConcern): Promise<number> {
    const { replicas, timeoutMs } = wanted;
    const shard = position && (given ?? this.#shardOf(position));
    if (position === undefined || !(shard instanceof Shard)) {
      const cause = new Error("the replication position of the write is unknown");
      return Promise.reject(new NotReplicatedError(replicas, undefined, timeoutMs, cause));
    }
    const until = performance.now() + timeoutMs;
    return new Promise((resolve, reject) => {
      this.#groupOf(shard, wanted).add({ position, wanted, until, resolve, reject });
    });
  }

  /** The shard whose history contains `position`. */
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

/** Resolves with the result of `promise`, or rejects at `until` on the monotonic clock. */
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
/** How long the key of a fence lives, in milliseconds: long enough for a slow server, and short enough to cost nothing. */
const lifeMs = "1000";
const maxTags = 100_000;

export class Fence {
  readonly #shard: Shard;
  readonly #topology: Pick<Topology, "shardOf">;
  /** Whether a pub/sub message moves the offset of the primary. If not, a fence writes a key. */
  #speaks: boolean;

  constructor(shard: Shard, topology: Pick<Topology, "shardOf">) {
    this.#shard = shard;
    this.#topology = topology;
    this.#speaks = shard.holdsAllKeys;
  }

  /**
   * Moves the offset of the primary with a command that `send` sends, because WAIT only waits for what its own connection has
   * written. With `isOnDisk` the command also has to reach append-only files.
   */
  async raise(send: Send, isOnDisk: boolean): Promise<void> {
    if (this.#speaks && !isOnDisk) this.#speaks = await speak(send);
    if (!this.#speaks || isOnDisk) await send(this.#key());
  }

  #key(): Command {
    for (let tag = 0; tag < maxTags; tag++) {
      const command = new Command("set", [`${channel}:{${tag}}`, "", "PX", lifeMs]);
      if (this.#shard.holdsAllKeys || this.#topology.shardOf(command) === this.#shard) return command;
    }
    throw new Error("the shard serves no slots");
  }
}

/** Sends a message. Returns whether the message is in the replication stream. */
async function speak(send: Send): Promise<boolean> {
  try {
    const [, reply] = await Promise.all([
      send(new Command("publish", [channel, ""])),
      send(clusterCommand()),
    ]);
    // The nodes of a cluster pass messages to each other instead, also if the user has given one of the nodes as a single server.
    return isOfNoCluster(reply);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("NOPERM")) return false;
    throw error;
  }
}
