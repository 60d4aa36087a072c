/** What one user's session requires of the node that answers its reads; it never asks for less than before. */
import type { Command } from "ioredis";
import type { CommandKind } from "../commands/command-kind.js";
import { anyKey, type Touched } from "../commands/touched-keys.js";
import {
  type Consistency,
  checkConsistency,
  mergeConsistency,
  type ReadOptions,
  type ResolvedReadPolicy,
} from "../consistency/read-policy.js";
import { checkWriteConcern, type ReplicatedOptions } from "../consistency/write-concern.js";
import type { ReadRecord } from "../diagnostics/channels.js";
import type { Statistics } from "../diagnostics/statistics.js";
import { InvalidOptionError } from "../errors/errors.js";
import type { Position } from "../replication/position.js";
import type { WriteHandle, WriteOutcome } from "../replication/write-outcome.js";
import { type ReadProgress, ReadProgressByShard } from "./read-progress.js";
import { WriteConcernOfSession } from "./replicated.js";
import type { Seal, SessionClient, SessionParts, WriteListener } from "./session-parts.js";
import { openedBy } from "./session-parts.js";
import { SessionRequirement } from "./session-requirement.js";
import { SmallMap } from "./small-map.js";
import { WritesInFlight } from "./writes-in-flight.js";

export type { Seal, SessionClient, SessionParts, WriteListener } from "./session-parts.js";

const noReads: readonly ReadRecord[] = Object.freeze([]);

/** Only the handle of a write may end it. */
let endWrite: (session: Session, outcome: WriteOutcome, touched: Touched) => void;

/** One user's line of reads and writes, for the length of a request or for as long as it is kept. */
export class Session {
  readonly #parts: SessionParts<Session>;
  #level: Consistency;
  #terms: ResolvedReadPolicy | undefined;
  #client: SessionClient | undefined;
  #demand: SessionRequirement | undefined;
  #addedAt = Number.NEGATIVE_INFINITY;
  #wrote = false;
  #moved = false;
  #stale = false;
  #watcher: WriteListener | undefined;
  #writes: WritesInFlight | undefined;
  #replicated: WriteConcernOfSession | undefined;
  #reads: ReadRecord[] | undefined;
  #progresses: ReadProgressByShard | undefined;
  /** The same for the keys of scopes, until all scopes count as one. */
  #scoped: SmallMap<string, ReadProgressByShard> | undefined;
  #isWhole = false;

  /**
   * Made by `tidemark.session()`.
   *
   * @internal
   */
  constructor(parts: SessionParts<Session>) {
    this.#parts = parts;
    this.#level = parts.level;
  }

  /**
   * The level of reads that name none. Options without a level are added to those there are. Setting it throws an
   * `InvalidOptionError` for anything that is no level.
   */
  get level(): Consistency {
    return this.#level;
  }

  set level(level: Consistency) {
    this.#level = mergeConsistency(this.#level, checkConsistency(level));
    this.#terms = undefined;
  }

  /**
   * The same, with nothing left open.
   *
   * @internal
   */
  get terms(): ResolvedReadPolicy {
    this.#terms ??= this.#parts.terms(this.#level);
    return this.#terms;
  }

  /** The client whose reads and writes belong to this session. */
  get redis(): SessionClient {
    this.#client ??= this.#parts.client(this);
    return this.#client;
  }

  /** The session's client at another level, for single calls. */
  at(level: Consistency, options?: ReadOptions): SessionClient {
    return this.redis.at(level, options);
  }

  /** Whether its reads are monotonic across requests too: then they move the token. */
  get monotonicReads(): boolean {
    return this.#parts.anchor !== undefined;
  }

  /**
   * Whether a read was answered without proof, because its level or `staleIfPrimaryGone` allowed it and the primary was gone, or
   * is a proxy that spreads commands.
   */
  get stale(): boolean {
    return this.#stale;
  }

  /**
   * The session's latest reads that were answered or rejected, the newest last: which server answered each, why, and how
   * long it waited. At most as many as the option `recordReads` of the `Tidemark` says, so by default none. Each call gives
   * a frozen list, which later reads do not change.
   */
  get reads(): readonly ReadRecord[] {
    return this.#reads === undefined ? noReads : Object.freeze([...this.#reads]);
  }

  /**
   * Called by the router for each read that is over, while reads are recorded.
   *
   * @internal
   */
  keepRead(record: ReadRecord): void {
    const { recordReads = 0 } = this.#parts;
    if (recordReads === 0) return;
    this.#reads ??= [];
    if (this.#reads.push(record) > recordReads) this.#reads.shift();
  }

  /** Aborted when nobody waits for the session's answers any more; undefined when that is not told. */
  get signal(): AbortSignal | undefined {
    const { signal } = this.#parts;
    return typeof signal === "function" ? signal() : signal;
  }

  /** Whether the session has started a write, or has been told that one is lost: then its token has to reach the user. */
  get wrote(): boolean {
    return this.#wrote;
  }

  /**
   * Whether more is required than its tokens brought, or may be: for what it wrote, or with monotonic reads has read.
   *
   * @internal
   */
  get tokenChanged(): boolean {
    return this.#wrote || this.#anchor() !== undefined || this.#moved;
  }

  /**
   * For the router: the session, if one of `commands` is a write that counts for it. `kinds` are those of the commands.
   *
   * @internal
   */
  writerOf(commands: readonly Command[], kinds: readonly CommandKind[]): this | undefined {
    const isFraming = ({ name }: Command): boolean => commands.length > 1 && name.toLowerCase() === "exec";
    const isTracked = (command: Command, i: number): boolean =>
      isWriting(kinds[i]) && !isFraming(command) && this.tracks(command);
    return commands.some(isTracked) ? this : undefined;
  }

  /**
   * For the router: whether a write counts for the session.
   *
   * @internal
   */
  tracks(write: Command): boolean {
    return this.#parts.keys?.tracks(write) !== false;
  }

  /** Whether a write is still on its way. */
  get writing(): boolean {
    return this.#writes?.any === true;
  }

  /**
   * For the router: what the latest write that a read of `touched` has to see touches; undefined when there was none.
   *
   * @internal
   */
  latestWrite({ scope }: Touched): Touched | undefined {
    return this.#writes?.latestIn(this.#isWhole ? undefined : scope);
  }

  /**
   * For the middleware: whether it has made a write that counts and is in no scope.
   *
   * @internal
   */
  get wroteUnscoped(): boolean {
    return this.#writes?.latestIn("") !== undefined;
  }

  /**
   * For the middleware: what the latest of these touches; undefined where there is none.
   *
   * @internal
   */
  get unscopedWrite(): Touched | undefined {
    return this.#writes?.latestIn("");
  }

  /**
   * For the router: what its latest write touches that may touch any key; undefined where there is none.
   *
   * @internal
   */
  get latestOfAnyKey(): Touched | undefined {
    return this.#writes?.latestOfAnyKey;
  }

  /**
   * For the router: where its reads and writes are counted; undefined where they are not.
   *
   * @internal
   */
  get statistics(): Statistics | undefined {
    return this.#parts.statistics;
  }

  /**
   * Whether a write that a read of `touched` may see is on its way; the read then follows it on the primary's own connection.
   *
   * @internal
   */
  isWriting({ scope }: Touched): boolean {
    return this.#writes?.anyIn(this.#isWhole ? undefined : scope) === true;
  }

  /**
   * For the router: what `commands` touch.
   *
   * @internal
   */
  touchedBy(commands: Command | readonly Command[]): Touched {
    return this.#parts.keys?.touchedBy(commands) ?? anyKey;
  }

  /**
   * What the session has written, or was brought by tokens: all of it is to be found wherever it reads.
   *
   * @internal
   */
  get positions(): readonly Position[] {
    return this.demand.positions;
  }

  /**
   * Whether only the primary may answer, because a write was made whose position is not known.
   *
   * @internal
   */
  get pinned(): boolean {
    return this.demand.pinned;
  }

  /**
   * Tells the user from others while reads wait in line: the newest token it was brought, else the session itself.
   *
   * @internal
   */
  get bearer(): string | Session {
    return this.demand.bearer ?? this;
  }

  /**
   * When a token was added, on the monotonic clock: what the primary was seen to have before need not include it.
   *
   * @internal
   */
  get addedAt(): number {
    return this.#addedAt;
  }

  /**
   * All that the session requires now, as a base64url text that is neither encrypted nor signed; empty when it requires
   * nothing. Hand it to `tidemark.session({ token })` in another process, and never to a user. Each read there sees all that
   * was written here, whatever its keys. While a write is in flight the token pins to the primary.
   */
  token(): string {
    return this.#token(true);
  }

  /**
   * For carriers: the same for the user's next requests, whose reads require only what was written to their own keys.
   *
   * @internal
   */
  keyedToken(): string {
    return this.#token(false);
  }

  #token(everything: boolean): string {
    const isOpen = this.writing || this.#anchor() !== undefined;
    return this.demand.token(isOpen, everything);
  }

  /** The same, encrypted with the secret of `readYourWrites`, to be handed to the user or to another service. */
  sealed(): string {
    const token = this.token();
    return token === "" ? token : this.#seal.seal(token);
  }

  /**
   * Requires from now on also what `token` says: what `token()` gave in a worker, say, about what it has written. The
   * user is then brought the token of both. Whatever is not a token counts as absent.
   */
  add(token: string): void {
    if (!this.demand.addToken(token)) return;
    this.#addedAt = performance.now();
    if (!this.writing) this.#watcher?.writeBegins();
    this.#wrote = true;
  }

  /** The same for what `sealed()` gave, or for several of these with commas between them. Whatever else it is counts as absent. */
  addSealed(sealed: string | null | undefined): void {
    for (const token of openedBy(this.#seal, sealed)) this.add(token);
  }

  /**
   * Undefined when the token says all there is to say, else a promise that resolves once the positions of all writes in
   * flight are known, and with monotonic reads those of all that was read. After one second it resolves all the same, and
   * the session is pinned to the primary. It never rejects.
   */
  settled(): Promise<void> | undefined {
    return this.#written()?.then(() => this.#anchor()) ?? this.#anchor();
  }

  /**
   * From now on a write of this session is answered only when `replicas` of them, or all that are connected, have applied
   * it; else it rejects with a `NotReplicatedError`, and stands. Resolves, when awaited, with how many hold what was written
   * so far, or rejects with that error. Throws an `InvalidOptionError` for what cannot be wanted.
   */
  replicated(replicas: number | "all", options?: ReplicatedOptions): Promise<number> {
    const before = async (): Promise<(Position | undefined)[]> => {
      await this.#written();
      return [...this.demand.written, ...(this.pinned ? [undefined] : [])];
    };
    this.#replicated ??= new WriteConcernOfSession(this.#parts.replicate);
    const held = this.#replicated.want(checkWriteConcern(replicas, options), before);
    held.catch(() => {});
    return held;
  }

  #written(): Promise<void> | undefined {
    return this.writing ? this.#writes?.settled(() => this.demand.pin()) : undefined;
  }

  #anchor(): Promise<void> | undefined {
    return this.#parts.anchor?.(this)?.catch(() => this.demand.pin());
  }

  /**
   * For carriers: calls `watcher` when a write begins, or a token of one is added, and none is in flight; one at a time.
   *
   * @internal
   */
  onWrite(watcher: WriteListener): void {
    this.#watcher = watcher;
  }

  /**
   * For the router: counts a write as in flight until its handle is ended. `command` is its name, where one command stands
   * for all. Reads in every scope stay behind a write that does not say what it touches. `shard` is the one it is sent to,
   * where that is known already.
   *
   * @internal
   */
  beginWrite(command?: string, touched?: Touched, shard?: object): WriteHandle {
    if (!this.writing) this.#watcher?.writeBegins(command);
    this.#wrote = true;
    this.#writes ??= new WritesInFlight();
    this.#writes.started(touched);
    return new OpenWrite(this, touched ?? anyKey, shard && this.#replicated?.heldIn(shard));
  }

  static {
    endWrite = (session, outcome, touched) => session.#endWrite(outcome, touched);
  }

  #endWrite(outcome: WriteOutcome, touched: Touched): void {
    const demand = this.demand;
    if (outcome === "unknown") demand.pin();
    else if (outcome !== "not-sent") {
      if (touched.scope === undefined) this.#joinScopes();
      demand.require(outcome, Date.now(), touched);
    }
    this.#writes?.ended(touched.scope);
  }

  /**
   * Told by the router: what was read is there at `position`, so that nothing older may be read later.
   *
   * @internal
   */
  requireRead(position: Position): void {
    if (this.demand.require({ ...position, read: true }, Date.now())) this.#moved = true;
  }

  /**
   * Told by the router: a read was answered by a server that could be reached, without any proof.
   *
   * @internal
   */
  markStale(): void {
    this.#stale = true;
  }

  /**
   * How far the session has read in `shard`, of what is in the scope of `touched`.
   *
   * @internal
   */
  progressIn(shard: object, { scope }: Touched): ReadProgress {
    if (scope === undefined) this.#joinScopes();
    if (scope === undefined || scope === "" || this.#isWhole) return this.#all.in(shard);
    this.#scoped ??= new SmallMap();
    const known = this.#scoped.get(scope);
    if (known !== undefined) return known.in(shard);
    const progresses = new ReadProgressByShard();
    this.#scoped.set(scope, progresses);
    return progresses.in(shard);
  }

  /**
   * How far it has read in `shard`, in each scope.
   *
   * @internal
   */
  progressesIn(shard: object): readonly ReadProgress[] {
    const ofScopes = this.#scoped?.entries.map(([, progresses]) => progresses) ?? [];
    const all = [this.#progresses, ...ofScopes];
    return all.flatMap((progresses) => progresses?.find(shard) ?? []);
  }

  get #all(): ReadProgressByShard {
    this.#progresses ??= new ReadProgressByShard();
    return this.#progresses;
  }

  /** Has all scopes count as one, because something was read or written that is in several. */
  #joinScopes(): void {
    if (this.#isWhole) return;
    this.#isWhole = true;
    this.#demand?.joinScopes();
    const now = performance.now();
    for (const [, progresses] of this.#scoped?.entries ?? [])
      for (const shard of progresses.shards) {
        const all = this.#all.in(shard);
        all.readAhead(now);
        all.kept ??= progresses.find(shard)?.kept;
      }
    this.#scoped = undefined;
  }

  /**
   * Told by the router: of `lost` only what came up to `survivor` still exists. The token has to reach the user.
   *
   * @internal
   */
  markLost(lost: Position, survivor: Position): void {
    this.demand.lose(lost, survivor);
    this.#wrote = true;
  }

  get #seal(): Seal {
    const { seal } = this.#parts;
    if (seal !== undefined) return seal;
    throw new InvalidOptionError(
      "secret",
      seal,
      "give one to what opened the session, or use token() and add()",
    );
  }

  /**
   * All that it requires, with what its tokens brought.
   *
   * @internal
   */
  get demand(): SessionRequirement {
    if (this.#demand === undefined) {
      this.#demand = new SessionRequirement(this.#parts.ttlMs, this.#parts.maxKeys);
      if (this.#isWhole) this.#demand.joinScopes();
      for (const token of this.#parts.tokens()) this.#demand.addToken(token);
    }
    return this.#demand;
  }
}

function isWriting(kind: CommandKind | undefined): boolean {
  return kind === "write" || kind === "blocking";
}

/** A write of a session that is not over. */
class OpenWrite implements WriteHandle {
  readonly acknowledged: WriteHandle["acknowledged"];
  readonly #session: Session;
  readonly #touched: Touched;
  #isOver = false;

  constructor(session: Session, touched: Touched, acknowledged: WriteHandle["acknowledged"]) {
    this.#session = session;
    this.#touched = touched;
    this.acknowledged = acknowledged;
  }

  end(outcome: WriteOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    endWrite(this.#session, outcome, this.#touched);
  }
}
