/** One command in, one node out: which reads a replica may answer is decided here, and every exit says why. */
import type { Command } from "ioredis";
import type { Batch } from "./batch.js";
import type { Reason } from "./channels.js";
import { kindOf, refusal } from "./command.js";
import { RefusedCommandError, ReplicasBehindError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node, Probe } from "./node.js";
import { announce, sendOnce, sendRepeatable, sendWrite } from "./primary.js";
import type { Session } from "./session.js";
import type { Requirement, Shard } from "./shard.js";
import type { Topology } from "./topology/topology.js";
import { Waiting } from "./waiting.js";

/** How replicas' answers are proven, and what happens to reads that none of them may answer. */
export interface RouterOptions {
  readonly maxStalenessMs: number;
  readonly waitMs: number;
  readonly fallback: "primary" | "error";
  readonly verify: "when-needed" | "always";
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
const stateErrors = /^(LOADING|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|CLUSTERDOWN|READONLY|EXECABORT)\b/;

const nothingRequired: Requirement = { positions: [], maxStalenessMs: Number.POSITIVE_INFINITY };

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
    if (kind === "read" && session !== undefined) this.#read(shard, command, session, level);
    else if (kind === "write" && session !== undefined) sendWrite(shard, command, undefined, session, level);
    else if (kind === "write") sendOnce(shard, command, undefined, level);
    else if (kind === "refused") command.reject(refusalOf(command));
    else sendRepeatable(shard, command, level, kind === "read" ? "no-session" : "not-a-read");
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
      const shard = this.#topology.shardOf(command);
      if (kinds[index] === "write" && session) sendWrite(shard, command, stream, session, level);
      else sendOnce(shard, command, stream, level);
    }
  }

  #read(shard: Shard, command: Command, session: Session, level: Level): void {
    const { resolve, reject } = command;
    const now = performance.now();
    const certain = this.#onlyPrimary(shard, session, level);
    const requirement = certain === undefined ? this.#requirement(shard, session, level) : nothingRequired;
    const waitUntil = now + this.#options.waitMs;
    const read = { command, resolve, reject, session, level, shard, requirement, waitUntil };
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
    shard.refresh(requirement.maxStalenessMs, now);
    if (node === undefined) return false;
    this.#readReplica(read, node, "known");
    return true;
  }

  /** Sends the read with the INFO that will prove it to the replica with the least lag; says whether one is worth it. */
  #readChecked(read: Read, now: number): boolean {
    const { shard, requirement, session } = read;
    const node = this.#best(
      read,
      (one) => shard.isWorthATry(one, requirement, session.issuedAt, now),
      (one) => one.lag.ms,
    );
    if (node === undefined) return false;
    this.#readReplica(read, node, "checked");
    return true;
  }

  /** Of the replicas that would not take the session back in time and may answer: the one with the least cost. */
  #best(
    { shard, session, level }: Read,
    mayAnswer: (node: Node) => boolean,
    cost: (node: Node) => number,
  ): Node | undefined {
    const { replicas } = shard;
    const first = this.#turn++;
    let best: Node | undefined;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < replicas.length; i++) {
      const node = replicas[(first + i) % replicas.length];
      if (node === undefined || !(level === "eventual" || session.mayReadFrom(node.link))) continue;
      if (!mayAnswer(node) || cost(node) >= least) continue;
      best = node;
      least = cost(node);
    }
    return best;
  }

  #readReplica(read: Read, node: Node, reason: "known" | "checked"): void {
    const { command, session, shard, requirement, level } = read;
    const { link } = node;
    const ordered = level !== "eventual";
    if (ordered) session.readFrom(link);
    const always = this.#options.verify === "always";
    let probe: Probe | undefined;
    const isProven = (): boolean =>
      probe === undefined || shard.objection(probe.sighting, node.suspect, requirement) === undefined;
    command.resolve = (reply) => {
      if (!isProven()) {
        node.triedInVain(performance.now());
        return this.#fallBack(read, "check-failed");
      }
      if (ordered) session.readBy(link);
      return read.resolve(reply);
    };
    command.reject = (error) => {
      const isAnswer = error.name === "ReplyError" && !stateErrors.test(error.message);
      if (error.name === "ReplyError" && !isAnswer) node.distrust();
      if (isAnswer && this.#options.fallback === "error" && isProven()) read.reject(error);
      else this.#fallBack(read, "replica-failed");
    };
    announce(command, node, "replica", reason, level);
    if (always) {
      probe = node.readVerified(command);
    } else {
      if (reason === "checked") probe = node.probe();
      node.connection.send(command);
    }
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
    const attempt = (): boolean => this.#readKnown(read, performance.now());
    if (now >= waitUntil || reason === "replica-failed") end();
    else this.#waiting.add({ attempt, giveUp: end, until: waitUntil });
  }

  #readPrimary({ command, resolve, reject, session, shard, level }: Read, reason: Reason): void {
    let sentAt = Number.POSITIVE_INFINITY;
    command.resolve = (reply) => {
      if (shard.replicas.length > 0) session.readAhead(sentAt);
      return resolve(reply);
    };
    command.reject = reject;
    sendRepeatable(shard, command, level, reason, () => {
      sentAt = performance.now();
      if (session.ahead) shard.sampleBehind(sentAt);
    });
  }
}

function refusalOf({ name, args }: Command): RefusedCommandError {
  return new RefusedCommandError(name, refusal(name.toLowerCase(), args, false) ?? "");
}
