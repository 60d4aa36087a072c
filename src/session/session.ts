/**
 * Holds one user's session: which data its reads must see, and which writes are in flight. The requirement never shrinks, except
 * when a failover has lost data.
 */
import type { Command, Redis } from "ioredis";
import type { CommandKind } from "../commands/command-kind.js";
import { anyKey, type KeyFinder, type Touched } from "../commands/touched-keys.js";
import {
  type Consistency,
  checkConsistency,
  mergeConsistency,
  type ReadOptions,
  type ResolvedReadPolicy,
} from "../consistency/read-policy.js";
import {
  checkWriteConcern,
  type ReplicatedOptions,
  type WriteConcern,
} from "../consistency/write-concern.js";
import type { ReadRecord } from "../diagnostics/channels.js";
import type { PinCounts } from "../diagnostics/counts.js";
import type { Statistics } from "../diagnostics/statistics.js";
import { InvalidOptionError } from "../errors/errors.js";
import { type Position, positionAt } from "../replication/position.js";
import type { WriteHandle, WriteOutcome } from "../replication/write-outcome.js";
import type { Membership } from "../rollout/membership.js";
import type { Rollout } from "../rollout/rollout.js";
import { ReadProgress } from "./read-progress.js";
import { openedBy, type Seal } from "./seal.js";
import { SessionRequirement } from "./session-requirement.js";
import type { SessionSetup } from "./session-setup.js";
import { SmallMap } from "./small-map.js";
import { WritesInFlight } from "./writes-in-flight.js";

/** An ioredis client whose commands belong to one session. */
export type SessionClient = Redis & {
  /** The same client at another level, for single calls: `redis.at("strong").get(key)`. */
  at(level: Consistency, options?: ReadOptions): SessionClient;
  /** The same client for writes that count for no session: `redis.untracked.incr("views")`. */
  readonly untracked: SessionClient;
};

/** Receives a call when a write begins. */
export interface WriteListener {
  /** `command` is the name of the command, if the name is known. */
  writeBegins(command?: string): void;
}

/** Picks the sessions that are observed in the mode `"shadow"`. */
export interface SessionSampler {
  /** Whether sessions are observed at all. */
  readonly isObserving: boolean;
  /** Whether a session with this requirement is observed. */
  samples(requirement: SessionRequirement): boolean;
  /** Called when a token of an observed session cannot name its positions, so that its user is not observed in later requests. */
  left(): void;
}

/** What all sessions of one `Tidemark` share. */
export interface SessionHost {
  /** How long a token or a pin to the primary stays valid, in milliseconds. */
  readonly ttlMs: number;
  /** Whether the reads of sessions that do not say otherwise are monotonic across requests. */
  readonly monotonicReads: boolean;
  /** Finds the keys that commands touch. */
  readonly keys: KeyFinder;
  /** For how many of the latest written keys a token names the key. */
  readonly maxKeys: number;
  /** How many of its latest reads each session records. */
  readonly recordReads: number;
  /** Counts the outcomes of reads and writes. */
  readonly statistics: Statistics;
  /** Decides whether replicas may answer the reads of a session. */
  readonly rollout: Rollout;
  /** Picks the sessions that are observed. */
  readonly sampler: SessionSampler;
  /** Turns a level into a read policy with all defaults filled in. */
  policyOf(level: Consistency): ResolvedReadPolicy;
  /** Makes the client of `session`. A session calls this once, on first use. */
  clientFor(session: Session): SessionClient;
  /**
   * Makes `session` require everything that it has read so far. Returns a promise if a server must be asked for the position. The
   * promise rejects when the position cannot be found out.
   */
  anchor(session: Session): Promise<void> | undefined;
  /**
   * Resolves with the number of replicas that have applied everything up to `position`. The position is in `shard`, or in the
   * shard that its history belongs to. Rejects when too few replicas have applied it.
   */
  replicate(shard: object | undefined, position: Position | undefined, wanted: WriteConcern): Promise<number>;
}

const noReads: readonly ReadRecord[] = Object.freeze([]);

const unasked = Symbol("unasked");

/** Only the handle of a write may end the write. */
let endWrite: (session: Session, outcome: WriteOutcome, touched: Touched) => void;

/** One user's sequence of reads and writes, for one request or for as long as you keep the session. */
export class Session {
  readonly #host: SessionHost;
  readonly #setup: SessionSetup;
  #level: Consistency;
  #policy: ResolvedReadPolicy | undefined;
  #client: SessionClient | undefined;
  #requirement: SessionRequirement | undefined;
  #addedAt = Number.NEGATIVE_INFINITY;
  #written = 0;
  #moved = false;
  #stale = false;
  #watcher: WriteListener | undefined;
  #writes: WritesInFlight | undefined;
  #writeConcern: WriteConcern | undefined;
  #reads: ReadRecord[] | undefined;
  #progresses: SmallMap<object, ReadProgress> | undefined;
  /** Read progress in each scope. Undefined after `#joinScopes`, when `#progresses` has everything. */
  #scoped: SmallMap<string, SmallMap<object, ReadProgress>> | undefined;
  #isWhole = false;
  /** Where the user stands in a rollout. It is asked for once, so that a request does not change sides. */
  #membership: Membership | typeof unasked = unasked;
  #isObserved: boolean | undefined;
  #forecast: Session | undefined;
  /** How many writes of this observed session have no position yet, or will have none. */
  #withoutPosition = 0;
  /** Whether a token of this observed session has named no positions, because they were not known yet. */
  #hasLeft = false;

  /**
   * Call `tidemark.session()` instead.
   *
   * @internal
   */
  constructor(host: SessionHost, setup: SessionSetup) {
    this.#host = host;
    this.#setup = setup;
    this.#level = setup.level;
  }

  /**
   * The level of reads that name no level. If you set options without a level, they are added to the current level. Setting a
   * value that is not a level throws an `InvalidOptionError`.
   */
  get level(): Consistency {
    return this.#level;
  }

  set level(level: Consistency) {
    this.#level = mergeConsistency(this.#level, checkConsistency(level));
    this.#policy = undefined;
  }

  /**
   * The read policy of `level`, with all defaults filled in.
   *
   * @internal
   */
  get policy(): ResolvedReadPolicy {
    this.#policy ??= this.#host.policyOf(this.#level);
    return this.#policy;
  }

  /**
   * Whether replicas may answer reads of this session: the mode of the `Tidemark` is `"live"`, and the rollout has reached the user.
   * Otherwise every command goes to the primary.
   */
  get isLive(): boolean {
    const { rollout } = this.#host;
    if (!rollout.isPartial) return rollout.isForAll;
    if (this.#membership === unasked) this.#membership = this.#setup.membership();
    return rollout.includes(this.#membership);
  }

  /**
   * For the router: whether a pin of the session has nothing to do with the mode. After a change of the mode, users are pinned because
   * they were not live before.
   *
   * @internal
   */
  get isPinnedAsUsual(): boolean {
    return !this.#host.rollout.hasChangedWithin(this.#host.ttlMs);
  }

  /**
   * For the router: whether the positions of the session's writes must be asked for. A write concern needs them even if the session is
   * not live.
   *
   * @internal
   */
  get needsPositions(): boolean {
    return this.isLive || this.#writeConcern !== undefined;
  }

  /**
   * For the mode `"shadow"`: whether this session is observed.
   *
   * @internal
   */
  get isObserved(): boolean {
    const { sampler } = this.#host;
    // Nothing else opens the tokens of a session that is not live.
    if (!sampler.isObserving) return false;
    this.#isObserved ??= sampler.samples(this.requirement);
    return this.#isObserved;
  }

  /**
   * For the router: the position of a write that was just sent will be learned, or will stay unknown. The answer of the write does
   * not wait for it.
   *
   * @internal
   */
  expectPosition(): void {
    this.#withoutPosition += 1;
  }

  /**
   * For the router: the position of an observed write to `touched`. If it is undefined, nothing can be said of later reads.
   *
   * @internal
   */
  learnPosition(position: Position | undefined, touched: Touched): void {
    if (position === undefined) return;
    this.#withoutPosition -= 1;
    this.requirement.require(position, Date.now(), touched);
  }

  /**
   * For the mode `"shadow"`: whether the position of a write is not known. The user may have written before the mode was `"shadow"`.
   *
   * @internal
   */
  get lacksPosition(): boolean {
    const { pinned, positions } = this.requirement;
    return this.#withoutPosition > 0 || (pinned && positions.length === 0);
  }

  /**
   * For the mode `"shadow"`: a session with the same requirement that has read nothing yet.
   *
   * @internal
   */
  withoutProgress(): Session {
    const session = new Session(this.#host, this.#setup);
    session.#requirement = this.requirement;
    return session;
  }

  /**
   * For the mode `"shadow"`: a session with the same requirement, whose reads go where the reads of this session would go in the
   * mode `"live"`.
   *
   * @internal
   */
  get forecast(): Session {
    this.#forecast ??= this.withoutProgress();
    // A position that was known before the session's latest token says nothing about the writes of that token.
    this.#forecast.#addedAt = this.#addedAt;
    return this.#forecast;
  }

  /** The client whose reads and writes belong to this session. */
  get redis(): SessionClient {
    this.#client ??= this.#host.clientFor(this);
    return this.#client;
  }

  /** The session's client at another level, for single calls. */
  at(level: Consistency, options?: ReadOptions): SessionClient {
    return this.redis.at(level, options);
  }

  /** Whether reads are monotonic across requests too. If so, reads change the session's token. */
  get monotonicReads(): boolean {
    return this.#setup.monotonicReads ?? this.#host.monotonicReads;
  }

  /**
   * Whether a read of this session was answered without proof that the data is fresh enough. Either the primary was gone and the
   * read's level or `staleIfPrimaryGone` allowed the answer, or the primary is a proxy that spreads commands.
   */
  get stale(): boolean {
    return this.#stale;
  }

  /**
   * The session's latest answered or rejected reads, the newest last. Each record says which server answered, why, and how long
   * the read waited. The `recordReads` option of the `Tidemark` limits the number of records. By default the list is empty. Each
   * call returns a frozen list that later reads do not change.
   */
  get reads(): readonly ReadRecord[] {
    return this.#reads === undefined ? noReads : Object.freeze([...this.#reads]);
  }

  /**
   * The router calls this for each finished read while reads are recorded.
   *
   * @internal
   */
  keepRead(record: ReadRecord): void {
    const { recordReads } = this.#host;
    if (recordReads === 0) return;
    this.#reads ??= [];
    if (this.#reads.push(record) > recordReads) this.#reads.shift();
  }

  /** Aborts when nobody waits for the session's answers any more. Undefined if the session was made without a signal. */
  get signal(): AbortSignal | undefined {
    const { signal } = this.#setup;
    return typeof signal === "function" ? signal() : signal;
  }

  /**
   * Whether the user must get the session's token: the session has started a write, has taken in a token with `add()`, or has
   * lost a write.
   */
  get wrote(): boolean {
    return this.#written > 0;
  }

  /**
   * For the middleware: how many tracked writes the session has begun.
   *
   * @internal
   */
  get written(): number {
    return this.#written;
  }

  /**
   * Whether the session requires more than its tokens brought, or may require more. Writes add to the requirement. Reads do so if
   * they are monotonic.
   *
   * @internal
   */
  get tokenChanged(): boolean {
    return this.#written > 0 || this.#anchor() !== undefined || this.#moved;
  }

  /**
   * For the router: this session, if one of `commands` is a write that counts for it. `kinds` has the kind of each command.
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
    return this.#host.keys.tracks(write);
  }

  /** Whether a write is in flight. */
  get writing(): boolean {
    return this.#writes?.any === true;
  }

  /**
   * For the router: the keys of the latest write that a read of `touched` must see. Undefined when there was no such write.
   *
   * @internal
   */
  latestWrite({ scope }: Touched): Touched | undefined {
    return this.#writes?.latestIn(this.#isWhole ? undefined : scope);
  }

  /**
   * For the middleware: the keys of the latest write in no scope. Undefined when there was no such write.
   *
   * @internal
   */
  get unscopedWrite(): Touched | undefined {
    return this.#writes?.latestIn("");
  }

  /**
   * For the router: the keys of the latest write that may touch any key. Undefined when there was no such write.
   *
   * @internal
   */
  get latestOfAnyKey(): Touched | undefined {
    return this.#writes?.latestOfAnyKey;
  }

  /**
   * For the router: the statistics that count the session's reads and writes.
   *
   * @internal
   */
  get statistics(): Statistics {
    return this.#host.statistics;
  }

  /**
   * Whether a write that a read of `touched` may see is in flight. The read then follows the write on the primary's own
   * connection.
   *
   * @internal
   */
  isWriting({ scope }: Touched): boolean {
    return this.#writes?.anyIn(this.#isWhole ? undefined : scope) === true;
  }

  /**
   * For the router: the keys that `commands` touch.
   *
   * @internal
   */
  touchedBy(commands: Command | readonly Command[]): Touched {
    return this.#host.keys.touchedBy(commands);
  }

  /**
   * The positions of the session's writes and of its tokens. Every node that the session reads from must have all of them.
   *
   * @internal
   */
  get positions(): readonly Position[] {
    return this.requirement.positions;
  }

  /**
   * Whether only the primary may answer, because the position of a write is unknown.
   *
   * @internal
   */
  get pinned(): boolean {
    return this.requirement.pinned;
  }

  /**
   * The newest token that the session was given, or the session itself. This tells one user from another while reads wait in
   * line.
   *
   * @internal
   */
  get identity(): string | Session {
    return this.requirement.identity ?? this;
  }

  /**
   * When a token was added, on the monotonic clock. A position that the primary reported earlier may not include the token's
   * writes.
   *
   * @internal
   */
  get addedAt(): number {
    return this.#addedAt;
  }

  /**
   * Everything that the session requires now, as base64url text. The text is neither encrypted nor signed. Empty when the session
   * requires nothing. Pass it to `tidemark.session({ token })` in another process, and never to a user. Each read there sees all
   * writes of this session, whichever keys the read touches. While a write is in flight, the token pins its session to the
   * primary.
   */
  token(): string {
    return this.#token(true);
  }

  /**
   * For carriers: the token for the user's next requests. Their reads require only the writes to their own keys.
   *
   * @internal
   */
  keyedToken(): string {
    return this.#token(false);
  }

  #token(everything: boolean): string {
    // A token without positions says that nothing is known of the session's writes.
    if (this.#withoutPosition > 0) {
      if (!this.#hasLeft) this.#host.sampler.left();
      this.#hasLeft = true;
      return this.requirement.pinToken();
    }
    const isOpen = this.writing || this.#anchor() !== undefined;
    return this.requirement.token(isOpen, everything);
  }

  /**
   * The result of `token()`, encrypted with the secret of `readYourWrites`. You may give it to the user or to another service.
   */
  sealed(): string {
    const token = this.token();
    return token === "" ? token : this.#seal.seal(token);
  }

  /**
   * Adds the requirement of `token` to this session, for example the `token()` of a worker that has written for this user. The
   * user then gets a token for both. Text that is not a token is ignored.
   */
  add(token: string): void {
    if (!this.requirement.addToken(token)) return;
    this.#addedAt = performance.now();
    if (!this.writing) this.#watcher?.writeBegins();
    this.#written += 1;
  }

  /** Adds the requirement of one result of `sealed()`, or of several separated by commas. Any other text is ignored. */
  addSealed(sealed: string | null | undefined): void {
    for (const token of openedBy(this.#seal, sealed)) this.add(token);
  }

  /**
   * Undefined when the token is complete already. Otherwise a promise that resolves once the positions of all writes in flight
   * are known. With monotonic reads it also waits for the positions of all reads. After one second the promise resolves anyway
   * and the session is pinned to the primary. The promise never rejects.
   */
  settled(): Promise<void> | undefined {
    return this.#allWritten()?.then(() => this.#anchor()) ?? this.#anchor();
  }

  /**
   * From now on, each write of this session resolves once `replicas` replicas have applied it, or all connected replicas for
   * `"all"`. Otherwise the write rejects with a `NotReplicatedError` but stays on the primary. Await the returned promise to
   * cover earlier writes: it resolves with the number of replicas that have them, or rejects with the same error. Throws an
   * `InvalidOptionError` for invalid arguments.
   */
  replicated(replicas: number | "all", options?: ReplicatedOptions): Promise<number> {
    this.#writeConcern = checkWriteConcern(replicas, options);
    const held = this.#replicateEarlier(this.#writeConcern);
    held.catch(() => {});
    return held;
  }

  async #replicateEarlier(wanted: WriteConcern): Promise<number> {
    await this.#allWritten();
    const positions = [...this.requirement.written, ...(this.pinned ? [undefined] : [])];
    const held = positions.map((position) => this.#host.replicate(undefined, position, wanted));
    return held.length === 0 ? 0 : Math.min(...(await Promise.all(held)));
  }

  #allWritten(): Promise<void> | undefined {
    // The token pins a session that is not live anyway, so nothing is worth waiting for.
    return this.writing && this.needsPositions
      ? this.#writes?.settled(() => this.#pin("unanswered"))
      : undefined;
  }

  #anchor(): Promise<void> | undefined {
    if (!this.monotonicReads) return undefined;
    if (!this.isLive) return this.#pinReads();
    return this.#host.anchor(this)?.catch(() => this.#pin("unanswered"));
  }

  /** Pins the session if it has read from the primary, because nobody asks for the position of what it has read. */
  #pinReads(): undefined {
    const all = [this.#progresses, ...(this.#scoped?.entries.map(([, progresses]) => progresses) ?? [])];
    const isRead = all.some((progresses) => progresses?.entries.some(([, { ahead }]) => ahead));
    if (!isRead) return;
    if (!this.#moved) this.statistics.counts.pins.notLive += 1;
    this.#moved = true;
    this.requirement.pin();
  }

  #pin(cause: keyof PinCounts): void {
    this.statistics.counts.pins[cause] += 1;
    this.requirement.pin();
  }

  /**
   * For carriers: calls `watcher` when a write begins or a token is added while no write is in flight. There is one watcher at a
   * time.
   *
   * @internal
   */
  onWrite(watcher: WriteListener): void {
    this.#watcher = watcher;
  }

  /**
   * For the router: counts a write as in flight until its handle is ended. `command` is the name of the command, or of the one
   * that stands for a batch. If the write does not say what it touches, reads in every scope stay behind the write. `shard` is
   * the shard that the write goes to, if it is known already.
   *
   * @internal
   */
  beginWrite(command?: string, touched?: Touched, shard?: object): WriteHandle {
    if (!this.writing) this.#watcher?.writeBegins(command);
    this.#written += 1;
    this.#writes ??= new WritesInFlight();
    this.#writes.started(touched);
    const wanted = this.#writeConcern;
    const whenReplicated = shard && wanted && whenReplicatedIn(shard, this.#host, wanted);
    return new OpenWrite(this, touched ?? anyKey, whenReplicated);
  }

  static {
    endWrite = (session, outcome, touched) => session.#endWrite(outcome, touched);
  }

  #endWrite(outcome: WriteOutcome, touched: Touched): void {
    const requirement = this.requirement;
    const { counts } = this.#host.statistics;
    if (outcome === "not-asked") {
      counts.notLiveWrites += 1;
      this.#pin("notLive");
    } else if (outcome === "unknown") {
      counts.unknownWrites += 1;
      this.#pin("unknownPosition");
    } else if (outcome !== "not-sent") {
      counts.knownWrites += 1;
      if (touched.scope === undefined) this.#joinScopes();
      requirement.require(outcome, Date.now(), touched);
    }
    this.#writes?.ended(touched.scope);
  }

  /**
   * The router calls this when a read has seen the data at `position`. Later reads must not see older data.
   *
   * @internal
   */
  requireRead(position: Position): void {
    const { replid, offset, keys } = position;
    if (this.requirement.require(positionAt(replid, offset, true, keys), Date.now())) this.#moved = true;
  }

  /**
   * The router calls this when a read was answered without proof, by a server that could be reached.
   *
   * @internal
   */
  markStale(): void {
    this.#stale = true;
  }

  /**
   * How far the session has read in `shard`, within the scope of `touched`.
   *
   * @internal
   */
  progressIn(shard: object, { scope }: Touched): ReadProgress {
    if (scope === undefined) this.#joinScopes();
    if (scope === undefined || scope === "" || this.#isWhole) return this.#all.getOrMake(shard, ReadProgress);
    this.#scoped ??= new SmallMap();
    return this.#scoped.getOrMake(scope, SmallMap<object, ReadProgress>).getOrMake(shard, ReadProgress);
  }

  /**
   * How far the session has read in `shard`, one entry per scope.
   *
   * @internal
   */
  progressesIn(shard: object): readonly ReadProgress[] {
    const ofScopes = this.#scoped?.entries.map(([, progresses]) => progresses) ?? [];
    const all = [this.#progresses, ...ofScopes];
    return all.flatMap((progresses) => progresses?.get(shard) ?? []);
  }

  get #all(): SmallMap<object, ReadProgress> {
    this.#progresses ??= new SmallMap();
    return this.#progresses;
  }

  /** Makes all scopes count as one, because a read or write spans several scopes. */
  #joinScopes(): void {
    if (this.#isWhole) return;
    this.#isWhole = true;
    this.#requirement?.joinScopes();
    const now = performance.now();
    for (const [, progresses] of this.#scoped?.entries ?? [])
      for (const [shard, { kept }] of progresses.entries) {
        const all = this.#all.getOrMake(shard, ReadProgress);
        all.readAhead(now);
        all.kept ??= kept;
      }
    this.#scoped = undefined;
  }

  /**
   * The router calls this when a failover has lost `lost`. Of that history, only data up to `survivor` still exists. The user
   * must get the new token.
   *
   * @internal
   */
  markLost(lost: Position, survivor: Position): void {
    this.requirement.lose(lost, survivor);
    this.#written += 1;
  }

  get #seal(): Seal {
    const { seal } = this.#setup;
    if (seal !== undefined) return seal;
    throw new InvalidOptionError(
      "secret",
      seal,
      "Pass one to readYourWrites or requestSessions, or use token() and add()",
      "this session has no secret for sealed() and addSealed()",
    );
  }

  /**
   * The session's whole requirement, including its tokens.
   *
   * @internal
   */
  get requirement(): SessionRequirement {
    if (this.#requirement === undefined) {
      this.#requirement = new SessionRequirement(this.#host.ttlMs, this.#host.maxKeys);
      if (this.#isWhole) this.#requirement.joinScopes();
      for (const token of this.#setup.tokens()) this.#requirement.addToken(token);
    }
    return this.#requirement;
  }
}

function isWriting(kind: CommandKind | undefined): boolean {
  return kind === "write" || kind === "blocking";
}

/** Apart from `beginWrite`, where the closure would cost every write an allocation. */
function whenReplicatedIn(
  shard: object,
  host: SessionHost,
  wanted: WriteConcern,
): NonNullable<WriteHandle["whenReplicated"]> {
  return (position) => host.replicate(shard, position, wanted);
}

/** A write that its session counts as in flight. */
class OpenWrite implements WriteHandle {
  readonly whenReplicated: WriteHandle["whenReplicated"];
  readonly #session: Session;
  readonly #touched: Touched;
  #isOver = false;

  constructor(session: Session, touched: Touched, whenReplicated: WriteHandle["whenReplicated"]) {
    this.#session = session;
    this.#touched = touched;
    this.whenReplicated = whenReplicated;
  }

  end(outcome: WriteOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    endWrite(this.#session, outcome, this.#touched);
  }
}
