/** Reads on their way: each is sent where it may be answered, and elsewhere when that fails. */
import type { Command } from "ioredis";
import type { Reason } from "./channels.js";
import {
  type Choice,
  chooseReplica,
  isDoubtful,
  isStranded,
  knownReplica,
  primaryOnly,
  type Question,
  requirementOf,
} from "./choice.js";
import { Ends } from "./ends.js";
import { ConnectionLostError, ReplicasBehindError } from "./errors.js";
import { type Iteration, lost } from "./iteration.js";
import type { Level } from "./level.js";
import type { Losses } from "./losses.js";
import { isUnjudgeable } from "./miss.js";
import type { Node } from "./node.js";
import { nothing } from "./objection.js";
import { type PrimaryRead, readPrimary } from "./primary.js";
import { type Fallbacks, readReplica } from "./replica.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";
import type { Topology } from "./topology/topology.js";
import { Waiting } from "./waiting.js";

/** How replicas' answers are proven, and what happens to reads that none of them may answer. */
export interface ReadOptions {
  readonly maxStalenessMs: number;
  readonly waitMs: number;
  readonly fallback: "primary" | "error";
  readonly verify: "when-needed" | "always";
}

/** A read on its way: the command with its own ends kept apart, so that it can be sent more than once. */
interface Read extends Question {
  readonly ends: Ends;
  /** Why only the primary may answer; undefined when a replica may. */
  readonly certain: Reason | undefined;
  readonly waitUntil: number;
}

/** One read, as it was given. */
export interface GivenRead {
  readonly shard: Shard;
  readonly command: Command;
  readonly level: Level;
  readonly iteration?: Iteration;
}

export class Reads {
  readonly #options: ReadOptions;
  /** The reads that wait for a replica. */
  readonly waiting: Waiting;
  /** Whether every read is proven, by an INFO of its own. */
  readonly #always: boolean;
  readonly #topology: Pick<Topology, "shards">;
  readonly #losses: Losses;
  readonly #fallbacks: Fallbacks<Read>;

  constructor(options: ReadOptions, topology: Pick<Topology, "shards">, losses: Losses) {
    this.#options = options;
    this.#always = options.verify === "always";
    this.#topology = topology;
    this.#losses = losses;
    this.#fallbacks = {
      always: this.#always,
      isFinal: (proven) => options.fallback === "error" && proven,
      fallBack: (read, reason) => this.#fallBack(read, reason),
      toPrimary: (read, reason) => this.#readPrimary(read, reason),
    };
    this.waiting = new Waiting((now) => {
      for (const shard of topology.shards) {
        shard.look(now);
        // What replicas say proves their age only by samples of the primary that are young enough.
        shard.askPrimary(now, false);
      }
    });
  }

  /** Sends a read of `session`. */
  send(given: GivenRead, session: Session): void {
    const loss = this.#lossOf(session, given.command);
    if (loss !== undefined) {
      given.command.reject(loss);
      return;
    }
    const now = performance.now();
    const read = this.#open(given, session, now);
    this.#sendTo(read, this.#choose(read, now));
  }

  /** Sends reads that belong together where the first of them may go. */
  sendAll(given: readonly GivenRead[], session: Session): void {
    const loss = given[0] && this.#lossOf(session, given[0].command);
    if (loss !== undefined) {
      for (const { command } of given) command.reject(loss);
      return;
    }
    const now = performance.now();
    const reads = given.map((one) => this.#open(one, session, now));
    const choice = reads[0] && this.#choose(reads[0], now);
    choice?.node?.connection.cork();
    for (const read of reads) this.#sendTo(read, choice);
  }

  /** Sends what only the primary may answer: what is no read of data, and all that belongs to no session. */
  sendToPrimary(given: GivenRead, session: Session | undefined, reason: Reason, repeats?: number): void {
    if (session !== undefined) {
      this.#readPrimary(this.#open(given, session, performance.now()), reason, repeats);
      return;
    }
    const { shard, command, level, iteration } = given;
    const onAnswer = (from: Node): undefined => {
      iteration?.answeredBy(from);
    };
    const read = { shard, command, level, reason, doubtful: this.#always, behindWrites: false };
    readPrimary({ ...read, ends: new Ends(command), onSend: () => {}, onAnswer }, repeats);
  }

  /** Sends a further step of an iteration, to the node and connection where it began or nowhere. */
  resume(given: GivenRead & { readonly iteration: Iteration }, session: Session | undefined): void {
    const { shard, command, iteration } = given;
    const { node } = iteration;
    const isPrimary = node === shard.primary;
    if (iteration.lost || node === undefined || (isPrimary ? shard.demoted : session === undefined)) {
      command.reject(lost(command, iteration));
    } else if (isPrimary || session === undefined) {
      const ends = new Ends(command);
      command.resolve = (reply) => ends.resolve(reply);
      command.reject = (error) => {
        ends.reject(ConnectionLostError.isMeantBy(error) ? lost(command, iteration, error) : error);
      };
      this.sendToPrimary(given, session, "not-a-read", 0);
    } else {
      const now = performance.now();
      const waitUntil = now + this.#options.maxStalenessMs;
      const read: Read = { ...this.#open(given, session, now), waitUntil };
      this.#sendTo(read, read.certain === undefined ? chooseReplica(read, now) : undefined);
    }
  }

  /** What a read of `session` is rejected with because writes of it were found to be lost. */
  #lossOf(session: Session, { name }: Command): Error | undefined {
    return this.#losses.check(this.#topology.shards, session, name);
  }

  #open({ shard, command, level, iteration }: GivenRead, session: Session, now: number): Read {
    const ends = new Ends(command);
    const { maxStalenessMs, waitMs } = this.#options;
    const certain =
      primaryOnly(shard, session, level, iteration?.node === undefined) ??
      // In a cluster keys may be on their way to another shard.
      (shard.alone || level === "eventual" || !isUnjudgeable(command) ? undefined : "missing-key");
    const requirement = certain ? nothing : requirementOf(shard, session, level, maxStalenessMs);
    const waitUntil = now + waitMs;
    return { command, ends, session, level, shard, certain, requirement, waitUntil, iteration };
  }

  #choose(read: Read, now: number): Choice | undefined {
    return read.certain ? { node: undefined, reason: read.certain } : chooseReplica(read, now);
  }

  #sendTo(read: Read, choice: Choice | undefined): void {
    if (choice === undefined) this.#fallBack(read, "behind");
    else if (choice.node === undefined) this.#readPrimary(read, choice.reason);
    else readReplica(read, choice.node, choice.reason, this.#fallbacks);
  }

  /** No replica may answer now: wait for one if there is time, else do as `fallback` says. */
  #fallBack(read: Read, reason: Reason): void {
    const { shard, waitUntil } = read;
    const now = performance.now();
    shard.look(now);
    const giveUp = (): void => this.#giveUp(read, reason);
    const inVain = reason === "replica-failed" || isStranded(read) || shard.primary.connection.refuses;
    if (now >= waitUntil || inVain) giveUp();
    else this.waiting.add({ attempt: () => this.#attempt(read), giveUp, until: waitUntil });
  }

  #giveUp(read: Read, reason: Reason): void {
    const { command, ends } = read;
    if (read.iteration?.node !== undefined) ends.reject(lost(command, read.iteration));
    else if (this.#options.fallback === "primary") this.#readPrimary(read, reason);
    else ends.reject(new ReplicasBehindError(command.name.toUpperCase(), reason));
  }

  /** Sends a waiting read to a replica that has caught up by now; says whether it need not wait any more. */
  #attempt(read: Read): boolean {
    const { shard, session, level } = read;
    const now = performance.now();
    const loss = this.#lossOf(session, read.command);
    if (loss !== undefined) {
      read.ends.reject(loss);
      return true;
    }
    if (isStranded(read)) {
      this.#giveUp(read, "behind");
      return true;
    }
    if (session.in(shard).ahead) shard.sampleBehind(now);
    // What is written after a step was asked for would have it wait for ever.
    const requirement = read.iteration?.node
      ? read.requirement
      : requirementOf(shard, session, level, this.#options.maxStalenessMs);
    const node = knownReplica({ ...read, requirement }, now);
    if (node !== undefined) readReplica({ ...read, requirement }, node, "known", this.#fallbacks);
    return node !== undefined;
  }

  #readPrimary(read: Read, reason: Reason, repeats?: number): void {
    const { command, ends, session, shard, level, iteration } = read;
    const doubtful = this.#always || session.positions.some((position) => isDoubtful(shard, position));
    let sentAt = Number.POSITIVE_INFINITY;
    const toPrimary: PrimaryRead = {
      shard,
      command,
      level,
      reason,
      doubtful,
      onSend: (at) => {
        sentAt = at;
        if (session.in(shard).ahead) shard.sampleBehind(at);
      },
      behindWrites: session.writing,
      onAnswer: (from) => {
        iteration?.answeredBy(from);
        if (shard.replicas.length > 0) session.in(shard).readAhead(sentAt);
        // Only the answer to an INFO in front of it may have told that there is another primary.
        return this.#lossOf(session, command);
      },
      ends,
    };
    readPrimary(toPrimary, repeats);
  }
}
