/** One command in, one node out: sends each where it may go, and elsewhere when that fails. */
import type { Command } from "ioredis";
import { sendBatch } from "./batch.js";
import type { Reason } from "./channels.js";
import {
  type Choice,
  chooseReplica,
  knownReplica,
  primaryOnly,
  type Question,
  requirementOf,
} from "./choice.js";
import { type CommandKind, kindOf, refusal } from "./command.js";
import { RefusedCommandError, ReplicasBehindError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node, Probe } from "./node.js";
import { announce, readPrimary, sendOnce, sendWrite } from "./primary.js";
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
interface Read extends Question {
  readonly command: Command;
  readonly resolve: Command["resolve"];
  readonly reject: Command["reject"];
  /** Why only the primary may answer; undefined when a replica may. */
  readonly certain: Reason | undefined;
  readonly waitUntil: number;
}

const nothing: Requirement = { positions: [], maxStalenessMs: Number.POSITIVE_INFINITY };

/** What a server says when its state, not the command, is the matter. */
const stateErrors = /^(LOADING|MASTERDOWN|BUSY|NOAUTH|NOPERM|WRONGPASS|CLUSTERDOWN|READONLY|EXECABORT)\b/;

export class Router {
  readonly #topology: Topology;
  readonly #options: RouterOptions;
  readonly #waiting: Waiting;
  /** Whether every read is proven, by an INFO of its own. */
  readonly #always: boolean;

  constructor(topology: Topology, options: RouterOptions) {
    this.#topology = topology;
    this.#options = options;
    this.#always = options.verify === "always";
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
    else if (kind === "write" && session !== undefined) sendWrite(shard, command, session, level);
    else if (kind === "write") sendOnce(shard, command, level);
    else if (session === undefined) this.#readAlone(shard, command, level, kind);
    else if (kind === "read") this.#read(shard, command, session, level);
    else this.#readPrimary(this.#open(shard, command, session, "strong", performance.now()), "not-a-read");
  }

  /**
   * Sends a pipeline or transaction as a whole: to one replica when all of it are reads, else to the primary. When one
   * of its commands is refused, all are rejected and none is sent.
   */
  routeBatch(commands: readonly Command[], session: Session | undefined, level: Level): void {
    const kinds = commands.map((command) => kindOf(command, true));
    const refused = commands[kinds.indexOf("refused")];
    if (refused !== undefined) {
      const error = refusalOf(refused);
      for (const command of commands) command.reject(error);
    } else if (kinds.every((kind) => kind === "read")) {
      if (session !== undefined) this.#readAll(commands, session, level);
      else
        for (const command of commands)
          this.#readAlone(this.#topology.shardOf(command), command, level, "read");
    } else if (commands[0] !== undefined) {
      const shard = this.#topology.shardOf(commands[0]);
      sendBatch({ shard, commands, kinds, session, level }, this.#always);
    }
  }

  #read(shard: Shard, command: Command, session: Session, level: Level): void {
    const now = performance.now();
    const read = this.#open(shard, command, session, level, now);
    this.#send(read, this.#choose(read, now));
  }

  /** Sends reads that belong together where the first of them may go. */
  #readAll(commands: readonly Command[], session: Session, level: Level): void {
    const now = performance.now();
    const reads = commands.map((command) => {
      return this.#open(this.#topology.shardOf(command), command, session, level, now);
    });
    const choice = reads[0] && this.#choose(reads[0], now);
    choice?.node?.connection.cork();
    for (const read of reads) this.#send(read, choice);
  }

  #open(shard: Shard, command: Command, session: Session, level: Level, now: number): Read {
    const { resolve, reject } = command;
    const { maxStalenessMs, waitMs } = this.#options;
    const certain = primaryOnly(shard, session, level);
    const requirement = certain ? nothing : requirementOf(shard, session, level, maxStalenessMs);
    return { command, resolve, reject, session, level, shard, certain, requirement, waitUntil: now + waitMs };
  }

  #choose(read: Read, now: number): Choice | undefined {
    return read.certain ? { node: undefined, reason: read.certain } : chooseReplica(read, now);
  }

  #send(read: Read, choice: Choice | undefined): void {
    if (choice === undefined) this.#fallBack(read, "behind");
    else if (choice.node === undefined) this.#readPrimary(read, choice.reason);
    else this.#readReplica(read, choice.node, choice.reason);
  }

  #readReplica(read: Read, node: Node, reason: "known" | "checked"): void {
    const { command, session, shard, requirement, level } = read;
    const { link } = node;
    const ordered = level !== "eventual";
    if (ordered) session.readFrom(link);
    let probe: Probe | undefined;
    const isProven = (): boolean =>
      probe === undefined || shard.objection(probe.sighting, node.suspect, requirement) === undefined;
    command.resolve = (reply) => {
      if (!isProven()) {
        node.triedInVain(performance.now());
        return this.#fallBack(read, "check-failed");
      }
      // An INFO answered in front of the read has shown that the server has gone back.
      if (ordered && node.link !== link) return this.#fallBack(read, "check-failed");
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
    if (this.#always) {
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
    const giveUp = (): void => {
      if (this.#options.fallback === "primary") this.#readPrimary(read, reason);
      else read.reject(new ReplicasBehindError(command.name.toUpperCase(), reason));
    };
    if (now >= waitUntil || reason === "replica-failed") giveUp();
    else this.#waiting.add({ attempt: () => this.#attempt(read), giveUp, until: waitUntil });
  }

  /** Sends a waiting read to a replica that has caught up by now; says whether there was one. */
  #attempt(read: Read): boolean {
    const { shard, session, level } = read;
    const now = performance.now();
    if (session.ahead) shard.sampleBehind(now);
    const requirement = requirementOf(shard, session, level, this.#options.maxStalenessMs);
    const node = knownReplica({ ...read, requirement }, now);
    if (node !== undefined) this.#readReplica({ ...read, requirement }, node, "known");
    return node !== undefined;
  }

  /** Sends a read or lookup that belongs to no session. */
  #readAlone(shard: Shard, command: Command, level: Level, kind: CommandKind): void {
    const { resolve, reject } = command;
    const reason = kind === "read" ? "no-session" : "not-a-read";
    const doubtful = this.#always;
    readPrimary({ shard, command, level, reason, doubtful, onSend: () => {}, resolve, reject });
  }

  #readPrimary(read: Read, reason: Reason): void {
    const { command, resolve, reject, session, shard, level } = read;
    const { latest } = shard.history;
    let sentAt = Number.POSITIVE_INFINITY;
    readPrimary({
      shard,
      command,
      level,
      reason,
      // A token of another history than the primary's is what a failover nobody has told us of looks like.
      doubtful: this.#always || session.positions.some(({ replid }) => replid !== latest?.position.replid),
      onSend: (at) => {
        sentAt = at;
        if (session.ahead) shard.sampleBehind(at);
      },
      resolve: (reply) => {
        if (shard.replicas.length > 0) session.readAhead(sentAt);
        return resolve(reply);
      },
      reject,
    });
  }
}

function refusalOf({ name, args }: Command): RefusedCommandError {
  return new RefusedCommandError(name, refusal(name.toLowerCase(), args, false) ?? "");
}
