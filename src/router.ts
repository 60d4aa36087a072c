/** One command in, one node out: which reads a replica may answer is decided here, and every exit says why. */
import type { Command } from "ioredis";
import type { Batch } from "./batch.js";
import { type Reason, routeChannel } from "./channels.js";
import { kindOf, refusal } from "./command.js";
import type { CommandStream } from "./connection.js";
import { ConnectionLostError, NotPrimaryError, RefusedCommandError, ReplicasBehindError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node, Probe } from "./node.js";
import type { Session } from "./session.js";
import type { Requirement, Shard } from "./shard.js";
import type { Topology } from "./topology/topology.js";
import { Waiting } from "./waiting.js";

/** How reads behave when no replica has what they require. */
export interface RouterOptions {
  readonly maxStalenessMs: number;
  readonly waitMs: number;
  readonly fallback: "primary" | "error";
}

/** A read on its way: the command with its own ends kept apart, so that it can be sent more than once. */
interface Read {
  readonly command: Command;
  readonly resolve: Command["resolve"];
  readonly reject: Command["reject"];
  readonly session: Session;
  readonly level: Level;
  readonly requirement: Requirement;
  readonly shard: Shard;
  readonly waitUntil: number;
}

/** What a server says when its state, not the command, is the matter. */
const stateErrors = /^(LOADING|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|CLUSTERDOWN|READONLY)\b/;

const nothingRequired: Requirement = { positions: [], maxStalenessMs: Number.POSITIVE_INFINITY };
const maxRepeats = 3;

export class Router {
  readonly #topology: Topology;
  readonly #options: RouterOptions;
  readonly #waiting: Waiting;
  #turn = 0;

  constructor(topology: Topology, options: RouterOptions) {
    this.#topology = topology;
    this.#options = options;
    this.#waiting = new Waiting((now) => {
      for (const shard of topology.shards) shard.look(now);
    });
  }

  /** Ends what still waits. */
  close(): void {
    this.#waiting.close();
  }

  /** Sends `command` where `session` and `level` let it go. */
  route(command: Command, session: Session | undefined, level: Level): void {
    const kind = kindOf(command, false);
    const shard = this.#topology.shardOf(command);
    if (kind === "refused") command.reject(refusalOf(command));
    else if (kind === "write") this.#write(shard, command, undefined, session, level);
    else if (kind === "lookup") this.#repeatable(shard, command, level, "not-a-read", maxRepeats);
    else if (session === undefined) this.#repeatable(shard, command, level, "no-session", maxRepeats);
    else this.#read(shard, command, session, level);
  }

  /** Sends a pipeline or transaction to the primary, or rejects all of it when one of its commands is refused. */
  routeBatch({ commands, stream }: Batch, session: Session | undefined, level: Level): void {
    const kinds = commands.map((command) => kindOf(command, true));
    const refused = commands[kinds.indexOf("refused")];
    if (refused !== undefined) {
      const error = refusalOf(refused);
      for (const command of commands) command.reject(error);
      return;
    }
    for (const [index, command] of commands.entries()) {
      const writer = kinds[index] === "write" ? session : undefined;
      this.#write(this.#topology.shardOf(command), command, stream, writer, level);
    }
  }

  #read(shard: Shard, command: Command, session: Session, level: Level): void {
    const { resolve, reject } = command;
    const now = performance.now();
    const certain = this.#onlyPrimary(shard, session, level);
    const read: Read = {
      command,
      resolve,
      reject,
      session,
      level,
      shard,
      requirement: certain === undefined ? this.#requirement(shard, session, level) : nothingRequired,
      waitUntil: now + this.#options.waitMs,
    };
    if (certain !== undefined) this.#readPrimary(read, certain);
    else if (!this.#readKnown(read, now) && !this.#readChecked(read, now)) this.#fallBack(read, "behind");
  }

  /** The reason why no replica may answer, whatever it has applied; undefined when one may. */
  #onlyPrimary(shard: Shard, session: Session, level: Level): Reason | undefined {
    if (level === "strong") return "strong";
    if (shard.replicas.length === 0) return "no-replica";
    if (level === "eventual") return undefined;
    if (session.writing) return "write-in-flight";
    if (session.pinned) return "position-unknown";
    return undefined;
  }

  #requirement(shard: Shard, session: Session, level: Level): Requirement {
    const bound = typeof level === "object" ? level.maxStalenessMs : Number.POSITIVE_INFINITY;
    const maxStalenessMs = Math.min(bound, this.#options.maxStalenessMs);
    if (level === "eventual") return { positions: [], maxStalenessMs };
    const { latest } = shard.history;
    if (latest !== undefined) session.anchor(latest.at, latest.position);
    return { positions: session.positions, maxStalenessMs };
  }

  /** Sends the read to the least busy replica that is known to cover it; says whether there was one. */
  #readKnown(read: Read, now: number): boolean {
    const { shard, requirement } = read;
    const node = this.#best(
      read,
      (one) => shard.knownObjection(one, requirement, now) === undefined,
      (one) => one.connection.inFlight,
    );
    if (node === undefined) return false;
    shard.refresh(node, now);
    shard.sample(requirement.maxStalenessMs, now);
    this.#readReplica(read, node, undefined);
    return true;
  }

  /** Sends the read behind the INFO that will prove it to the replica with the least lag; says whether one is worth it. */
  #readChecked(read: Read, now: number): boolean {
    const { shard, requirement, session } = read;
    const node = this.#best(
      read,
      (one) => shard.isWorthATry(one, requirement, session.issuedAt, now),
      (one) => one.lag.ms,
    );
    shard.sample(requirement.maxStalenessMs, now);
    if (node === undefined) return false;
    this.#readReplica(read, node, node.probe());
    return true;
  }

  /** Of the replicas that would not take the session back in time and may answer: the one with the least cost. */
  #best(read: Read, mayAnswer: (node: Node) => boolean, cost: (node: Node) => number): Node | undefined {
    const { replicas } = read.shard;
    const first = this.#turn++;
    let best: Node | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < replicas.length; i++) {
      const node = replicas[(first + i) % replicas.length];
      if (node === undefined || !(read.level === "eventual" || read.session.mayReadFrom(node.link))) continue;
      if (!mayAnswer(node)) continue;
      const its = cost(node);
      if (its < least) {
        best = node;
        least = its;
      }
    }
    return best;
  }

  #readReplica(read: Read, node: Node, probe: Probe | undefined): void {
    const { command, session, shard, requirement, level } = read;
    const { link } = node;
    const ordered = level !== "eventual";
    if (ordered) session.readFrom(link);
    const isProven = (): boolean =>
      probe === undefined || shard.objection(probe.sighting, node.suspect, requirement) === undefined;
    command.resolve = (reply) => {
      if (!isProven()) return this.#fallBack(read, "check-failed");
      if (ordered) session.readBy(link);
      return read.resolve(reply);
    };
    command.reject = (error) => {
      const isAnswer = error.name === "ReplyError" && !stateErrors.test(error.message);
      if (error.name === "ReplyError" && !isAnswer) node.distrust();
      if (isAnswer && this.#options.fallback === "error" && isProven()) read.reject(error);
      else this.#fallBack(read, "replica-failed");
    };
    this.#announce(command, node, "replica", probe === undefined ? "known" : "checked", level);
    node.connection.send(command);
  }

  /** No replica may answer now: wait for one if there is time, else do as `fallback` says. */
  #fallBack(read: Read, reason: Reason): void {
    const { command, shard, waitUntil } = read;
    const now = performance.now();
    shard.look(now);
    const end = (): void => {
      if (this.#options.fallback === "primary") this.#readPrimary(read, reason);
      else read.reject(new ReplicasBehindError(command.name.toUpperCase(), reason));
    };
    if (now >= waitUntil || reason === "replica-failed") return end();
    const attempt = (): boolean => this.#readKnown(read, performance.now());
    this.#waiting.add({ attempt, giveUp: end, until: waitUntil });
  }

  #readPrimary(read: Read, reason: Reason): void {
    const { command, session, shard, level } = read;
    command.resolve = (reply) => {
      if (shard.replicas.length > 0) session.readAhead();
      return read.resolve(reply);
    };
    command.reject = read.reject;
    this.#repeatable(shard, command, level, reason, maxRepeats);
  }

  /** Sends to the primary what changes nothing, again if the connection closes before the answer. */
  #repeatable(shard: Shard, command: Command, level: Level, reason: Reason, repeats: number): void {
    const { reject } = command;
    if (shard.demoted && reason !== "not-a-read") {
      return reject(new NotPrimaryError(command.name.toUpperCase(), shard.primary.connection.address));
    }
    command.reject = (error) => {
      command.reject = reject;
      if (!ConnectionLostError.isMeantBy(error) || repeats === 0) reject(error);
      else this.#repeatable(shard, command, level, reason, repeats - 1);
    };
    this.#onPrimary(shard, command, undefined, reject, level, reason);
  }

  /** Sends to the primary what nobody needs the position of, and never again. */
  #once(shard: Shard, command: Command, stream: CommandStream | undefined, level: Level): void {
    const { reject } = command;
    const { address } = shard.primary.connection;
    command.reject = (error) => reject(ConnectionLostError.of(command.name, address, error));
    this.#onPrimary(shard, command, stream, reject, level, "not-a-read");
  }

  #write(
    shard: Shard,
    command: Command,
    stream: CommandStream | undefined,
    session: Session | undefined,
    level: Level,
  ): void {
    if (session === undefined) return this.#once(shard, command, stream, level);
    const { reject } = command;
    const { connection } = shard.primary;
    // Reads that follow without waiting have to stay behind the write, also while it waits for a connection.
    session.writeStarted();
    connection.whenReady((error) => {
      if (error === undefined) {
        this.#announce(command, shard.primary, "primary", "not-a-read", level);
        shard.primary.write(command, toDestination(stream, shard.primary), session);
      } else reject(error);
      session.writeEnded("not-sent");
    });
  }

  #onPrimary(
    shard: Shard,
    command: Command,
    stream: CommandStream | undefined,
    reject: Command["reject"],
    level: Level,
    reason: Reason,
  ): void {
    const { primary } = shard;
    primary.connection.whenReady((error) => {
      if (error !== undefined) return reject(error);
      this.#announce(command, primary, "primary", reason, level);
      primary.connection.send(command, toDestination(stream, primary));
    });
  }

  #announce(command: Command, node: Node, role: "primary" | "replica", reason: Reason, level: Level): void {
    if (!routeChannel.hasSubscribers) return;
    routeChannel.publish({ command: command.name, node: node.connection.address, role, reason, level });
  }
}

function refusalOf({ name, args }: Command): RefusedCommandError {
  return new RefusedCommandError(name, refusal(name.toLowerCase(), args, false) ?? "");
}

/** Points a batch at the connection it is to be written to. */
function toDestination(stream: CommandStream | undefined, node: Node): CommandStream | undefined {
  if (stream !== undefined && "isPipeline" in stream) stream.destination = { redis: node.connection.redis };
  return stream;
}
