/** Commands in, each to what sends its kind. */
import type { Command, RedisOptions } from "ioredis";
import { type CommandKind, kindOf, refusalError, transactionError } from "../commands/command-kind.js";
import { type Terms, TermsTable } from "../consistency/read-policy.js";
import { ClosedError } from "../errors/errors.js";
import type { Losses } from "../reads/lost-writes.js";
import { GivenRead } from "../reads/read.js";
import { type ReadRouterOptions, Reads } from "../reads/read-router.js";
import { Cursors, cursorOf, Iteration, lost } from "../reads/scan.js";
import type { Session } from "../session/session.js";
import { whenPrimary } from "../shard/primary-availability.js";
import type { Followers } from "../shard/primary-followers.js";
import type { Shard } from "../shard/shard.js";
import type { Topology } from "../topology/topology.js";
import { type Confirm, type Redirect, Redirects } from "./cluster-redirects.js";
import { Pool } from "./connection-pool.js";
import { Conversation } from "./dedicated-connection.js";
import { type Batch, kindsOf, sendBatch, unitsOf } from "./pipeline.js";
import { Acks } from "./replica-acks.js";
import { Beginning } from "./shard-resolver.js";
import { sendAlone, sendAsking, sendWrite } from "./write.js";

/** What the way of commands depends on. */
export interface RouterOptions extends ReadRouterOptions {
  readonly redis: RedisOptions;
  readonly recordReads: number;
}

/** How long commands wait for the first word of which servers there are, in milliseconds. */
const beginningMs = 1_000;

export class Router {
  readonly terms: TermsTable;
  /** Whether sessions keep records of their reads. */
  readonly keepsReads: boolean;
  readonly #topology: Pick<Topology, "shards">;
  /** What is given before it is known which servers there are. */
  readonly #beginning: Beginning;
  /** Where data is spread over shards. */
  readonly #redirect: Redirect | undefined;
  readonly #confirm: Confirm;
  readonly #redirects: Redirects | undefined;
  readonly reads: Reads;
  readonly acks: Acks;
  readonly #always: boolean;
  /** The cursors that were given out, to each session its own. */
  readonly #cursors = new WeakMap<Session | Router, Cursors>();
  readonly pool: Pool;
  /** The transactions that sessions have begun by hand. */
  readonly #conversations = new WeakMap<Session, Conversation>();

  constructor(topology: Topology, followers: Followers, losses: Losses, options: RouterOptions) {
    this.#topology = topology;
    this.pool = new Pool(followers);
    this.terms = new TermsTable(options);
    this.keepsReads = options.recordReads > 0;
    const isEndless = options.redis.maxRetriesPerRequest === null;
    this.#beginning = new Beginning(topology, isEndless ? Number.POSITIVE_INFINITY : beginningMs);
    this.#redirect = topology.redirect?.bind(topology);
    this.#confirm = async (...script) => topology.confirm?.(...script);
    this.#redirects =
      this.#redirect &&
      new Redirects(this.#redirect, this.#confirm, (command) => topology.settled?.(command));
    this.#always = options.verify === "always";
    this.reads = new Reads(options, topology, losses);
    this.acks = new Acks(this.pool, topology);
  }

  /** Resolves when it is known which servers there are. */
  readonly known = (timeoutMs: number): Promise<void> => this.#beginning.known(timeoutMs);

  /** Calls `start` when there is a primary for `command`, or rejects it when there is none in time. */
  whenPrimary(command: Command, start: () => void): void {
    const shard = this.#beginning.shardOf(command);
    if (shard === undefined)
      this.#beginning.add([command], ["lookup"], undefined, () => this.whenPrimary(command, start));
    else whenPrimary(shard, command.name, (error) => (error ? command.reject(error) : start()));
  }

  /** Routes again after it was closed. */
  open(): void {
    this.#beginning.open();
    this.pool.open();
  }

  /** Whether commands are on their way or wait, other than those that block for longer than `ms`. */
  isBusyFor(ms: number): boolean {
    if (!this.#beginning.isEmpty || this.#redirects?.isEmpty === false) return true;
    return this.#topology.shards.some(({ isBusy }) => isBusy) || this.pool.isBusyFor(ms);
  }

  /** Resolves when what was given to the connections that were lent is answered. */
  drained(): Promise<void> {
    return this.pool.drained();
  }

  /** Ends what still waits, and the connections that were lent. */
  close(): void {
    this.#beginning.close();
    this.pool.close();
  }

  /**
   * Sends `command` where `session` and `level` let it go; `iteration` when it is a step of a stream's, `isReleased` when it
   * has waited for others on its keys.
   */
  route(
    command: Command,
    session: Session | undefined,
    terms: Terms,
    iteration?: Iteration,
    isReleased = false,
  ): void {
    const kind = kindOf(command, false);
    const again = (released?: true): void => this.route(command, session, terms, iteration, released);
    if (!isReleased && this.#holds([command], session, again)) return;
    const shard = iteration?.shard ?? this.#beginning.shardOf(command);
    if (shard === undefined) {
      this.#beginning.add([command], [kind], session, again);
      return;
    }
    this.#attend(command, kind, session, terms);
    this.#send(shard, command, kind, session, terms, iteration);
  }

  /**
   * Sends a pipeline or transaction as a whole, or to each shard its part of a pipeline: to one replica when all of it
   * are reads, else to the primary. When one of its commands is refused, all are rejected and none is sent.
   */
  routeBatch(
    commands: readonly Command[],
    session: Session | undefined,
    terms: Terms,
    isReleased = false,
  ): void {
    const again = (released?: true): void => this.routeBatch(commands, session, terms, released);
    if (!isReleased && this.#holds(commands, session, again)) return;
    const parts = this.#beginning.partsOf(commands);
    if (parts === undefined) {
      this.#beginning.add(commands, kindsOf(commands), session, again);
      return;
    }
    const batches = parts.map(([shard, part]): Batch => {
      return { shard, commands: part, kinds: kindsOf(part), session, terms };
    });
    const error = this.#objection(batches);
    if (error) for (const command of commands) command.reject(error);
    else for (const batch of batches) this.#sendPart(batch);
  }

  /** Whether commands have to wait for others on their keys that a cluster has sent elsewhere; `again` then routes them. */
  #holds(
    commands: readonly Command[],
    session: Session | undefined,
    again: (isReleased: true) => void,
  ): boolean {
    if (this.#redirects === undefined) return false;
    let writer: Session | undefined;
    // Those behind it are still in the line, so it must not be compared with the line again.
    const go = (): void => {
      again(true);
      writer?.writeEnded("not-sent");
    };
    if (!this.#redirects.holds(commands, session ?? this, go)) return false;
    const kinds = kindsOf(commands);
    // Until they leave they count as on their way, so that what their session does next stays behind them.
    writer = session?.writerOf(commands, kinds);
    writer?.writeStarted();
    return true;
  }

  #sendPart(batch: Batch): void {
    const redirects = this.#redirects;
    if (redirects !== undefined && !batch.kinds.includes("transactional"))
      for (const unit of unitsOf(batch)) this.#attendUnit(redirects, unit);
    this.#sendBatch(batch);
  }

  #attendUnit(redirects: Redirects, unit: Batch): void {
    const { commands, kinds, session, terms } = unit;
    // What is watched for a transaction is watched on one connection only.
    if (commands.length === 1 || (session !== undefined && this.#conversations.has(session))) {
      for (const [index, command] of commands.entries())
        this.#attend(command, kinds[index] ?? "write", session, terms);
      return;
    }
    const writer = session?.writerOf(commands, kinds);
    // Replicas may still have its keys as they were when they left: MULTI, answered there, counts as a read.
    const send = (asked?: Shard): void => {
      const [[shard] = [unit.shard]] = this.#beginning.partsOf(commands) ?? [];
      const isAsked = asked !== undefined;
      sendBatch({ ...unit, shard: asked ?? shard, isAsked, isReturned: true }, this.#always);
    };
    redirects.attendTransaction({ commands, owner: session ?? this, writer, send });
  }

  #sendBatch(batch: Batch): void {
    const { shard, commands, kinds, session, terms } = batch;
    const open = session && this.#conversations.get(session);
    const goesOn = open?.takes(commands[0]?.name ?? "") === true;
    if (goesOn || kinds.includes("blocking") || kinds.includes("transactional")) this.#converse(batch);
    else if (!kinds.every((kind) => kind === "read")) sendBatch(batch, this.#always);
    else {
      const given = commands.map((command) => new GivenRead(shard, command, terms));
      this.reads.sendAll(given, session);
    }
  }

  #send(
    shard: Shard,
    command: Command,
    kind: CommandKind,
    session: Session | undefined,
    terms: Terms,
    iteration?: Iteration,
    isReturned = false,
  ): void {
    if (kind === "refused") command.reject(refusalError(command));
    else if (kind === "scan" && iteration !== undefined)
      this.#scan(shard, command, session, terms, iteration);
    // One that comes back was given before the transaction began.
    else if (!isReturned && session && this.#conversations.get(session)?.send(command, kind, terms.level))
      return;
    else if (kind === "write" && session?.tracks(command))
      sendWrite(shard, command, session, terms.level, isReturned);
    else if (kind === "write") {
      if (!isReturned) session?.statistics?.countUntracked(1);
      sendAlone(shard, command, terms.level, isReturned);
    } else if (kind === "read" && isReturned && (session === undefined || session.writing)) {
      const reason = session === undefined ? "no-session" : "write-in-flight";
      this.reads.sendToPrimary(new GivenRead(shard, command, terms), session, reason, undefined, true);
    } else if (kind === "read") this.reads.send(new GivenRead(shard, command, terms), session);
    else if (kind === "scan") this.#scan(shard, command, session, terms);
    else if (kind === "lookup")
      this.reads.sendToPrimary(
        new GivenRead(shard, command, terms),
        session,
        "not-a-read",
        undefined,
        isReturned,
      );
    else {
      const isSpread = this.#redirects !== undefined;
      const error = kind === "transactional" && transactionError(command, session !== undefined, isSpread);
      if (error) command.reject(error);
      else this.#converse({ shard, commands: [command], kinds: [kind], session, terms });
    }
  }

  /** Has `command` follow where a cluster's nodes send it, unless it is part of what only one connection knows. */
  #attend(command: Command, kind: CommandKind, session: Session | undefined, terms: Terms): void {
    const redirects = this.#redirects;
    if (redirects === undefined || kind === "refused") return;
    const isBound = session !== undefined && this.#conversations.has(session);
    if (isBound || kind === "transactional" || kind === "scan") {
      redirects.takeIn(command);
      return;
    }
    const writer = session?.writerOf([command], [kind]);
    const isRead = kind === "read" || kind === "lookup";
    const send = (asked?: Shard): void => {
      const shard = this.#beginning.shardOf(command);
      // Replicas may still have a key as it was when it left.
      if (asked !== undefined && shard !== undefined && session !== undefined)
        session.in(shard, session.touchedBy(command)).readAhead(performance.now());
      if (asked !== undefined) sendAsking(asked, command, writer, terms.level);
      else if (shard !== undefined) this.#send(shard, command, kind, session, terms, undefined, true);
      else command.reject(new ClosedError());
    };
    redirects.attend({ command, commands: [command], isRead, owner: session ?? this, writer, send });
  }

  /** Why a batch cannot be sent; undefined when it can. */
  #objection(batches: readonly Batch[]): Error | undefined {
    for (const { shard, commands, kinds, session } of batches) {
      for (const [index, command] of commands.entries()) {
        const kind = kinds[index];
        if (kind === "refused") return refusalError(command);
        if (kind === "transactional" && session === undefined) return transactionError(command, false, false);
        if (kind !== "scan") continue;
        const iteration = this.#follow(shard, command, session);
        const { node } = iteration;
        if (node !== undefined && (iteration.lost || node !== shard.primary || shard.demoted))
          return lost(command, iteration);
      }
    }
    return undefined;
  }

  #scan(
    shard: Shard,
    command: Command,
    session: Session | undefined,
    terms: Terms,
    streamed?: Iteration,
  ): void {
    const iteration = streamed ?? this.#follow(shard, command, session);
    iteration.shard ??= shard;
    const given = { shard: iteration.shard, command, terms, iteration };
    if (iteration.node !== undefined) this.reads.resume(given, session);
    else if (streamed !== undefined && session !== undefined) this.reads.send(given, session);
    else this.reads.sendToPrimary(given, session, "not-a-read", cursorOf(command) === "0" ? undefined : 0);
  }

  /** The iteration that a plain SCAN is a step of; its cursors may be used anywhere, so they are the primary's. */
  #follow(shard: Shard, command: Command, session: Session | undefined): Iteration {
    const owner = session ?? this;
    const cursors = this.#cursors.get(owner) ?? new Cursors();
    this.#cursors.set(owner, cursors);
    const iteration = cursors.find(command) ?? new Iteration();
    cursors.track(command, shard, iteration);
    return iteration;
  }

  /** Sends commands over a connection of their own, which a session keeps while it is in a transaction. */
  #converse(batch: Batch): void {
    const { shard, commands, kinds, session, terms } = batch;
    let current = session && this.#conversations.get(session);
    shard.askPrimary(performance.now(), false);
    for (const [index, command] of commands.entries()) {
      const kind = kinds[index] ?? "write";
      if (current?.send(command, kind, terms.level)) continue;
      current = this.#begin(shard, kinds.includes("transactional") ? session : undefined, session);
      current.send(command, kind, terms.level);
    }
  }

  #begin(shard: Shard, keeper: Session | undefined, session: Session | undefined): Conversation {
    const redirect = this.#redirect;
    const follow =
      redirect &&
      ((error: Error, command: Command, again: (shard?: Shard) => void): boolean =>
        redirect(error, () => again(this.#beginning.shardOf(command))));
    // Only a shared connection keeps order with what was given before by itself.
    const isBehindWrites = session?.writing === true;
    const redirects = this.#redirects;
    const holds =
      redirects &&
      ((commands: readonly Command[], isReleased: boolean, go: () => void): boolean =>
        isReleased
          ? redirects.holdsBack(commands, session ?? this, go)
          : redirects.holds(commands, session ?? this, go));
    const confirm =
      redirect && ((script: Command, server: RedisOptions) => this.#confirm(script, server, false));
    const speaker = { session, isKept: keeper !== undefined, isBehindWrites, holds, follow, confirm };
    const conversation = new Conversation(this.pool, shard, speaker, () => {
      if (keeper !== undefined && this.#conversations.get(keeper) === conversation)
        this.#conversations.delete(keeper);
    });
    if (keeper !== undefined) this.#conversations.set(keeper, conversation);
    return conversation;
  }
}
