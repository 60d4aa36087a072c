/** What one user's session requires of the node that answers its reads; it never asks for less than before. */
import { Demand } from "./demand.js";
import { InvalidOptionError } from "./errors.js";
import type { Position } from "./position.js";
import { type Progress, Progresses } from "./progress.js";
import { Replicated, type Writer } from "./replicated.js";
import type { Seal, SessionClient, SessionParts, WriteEnd, WriteWatcher } from "./session-parts.js";
import { openedBy } from "./session-parts.js";
import { type Consistency, checkConsistency, onto, type ReadOptions, type Terms } from "./terms.js";
import { checkWanted, type ReplicatedOptions } from "./wanted.js";
import { WritesInFlight } from "./writes-in-flight.js";

export type { Seal, SessionClient, SessionParts, WriteEnd, WriteWatcher } from "./session-parts.js";

/** One user's line of reads and writes, for the length of a request or for as long as it is kept. */
export class Session {
  readonly #parts: SessionParts<Session>;
  #level: Consistency;
  #terms: Terms | undefined;
  #client: SessionClient | undefined;
  #demand: Demand | undefined;
  #addedAt = Number.NEGATIVE_INFINITY;
  #wrote = false;
  #moved = false;
  #stale = false;
  #watcher: WriteWatcher | undefined;
  #writes: WritesInFlight | undefined;
  #replicated: Replicated | undefined;
  #progresses: Progresses | undefined;

  /** Made by `tidemark.session()`. */
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
    this.#level = onto(this.#level, checkConsistency(level));
    this.#terms = undefined;
  }

  /** The same, with nothing left open. */
  get terms(): Terms {
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

  /** Aborted when nobody waits for the session's answers any more; undefined when that is not told. */
  get signal(): AbortSignal | undefined {
    const { signal } = this.#parts;
    return typeof signal === "function" ? signal() : signal;
  }

  /** Whether the session has started a write, or has been told that one is lost: then its token has to reach the user. */
  get wrote(): boolean {
    return this.#wrote;
  }

  /** Whether more is required than its tokens brought, or may be: for what it wrote, or with monotonic reads has read. */
  get moved(): boolean {
    return this.#wrote || this.#anchor() !== undefined || this.#moved;
  }

  /** Whether a write is still on its way; reads then follow it on the primary's own connection. */
  get writing(): boolean {
    return this.#writes?.any === true;
  }

  /** What the session has written, or was brought by tokens: all of it is to be found wherever it reads. */
  get positions(): readonly Position[] {
    return this.demand.positions;
  }

  /** Whether only the primary may answer, because a write was made whose position is not known. */
  get pinned(): boolean {
    return this.demand.pinned;
  }

  /** Tells the user from others while reads wait in line: the newest token it was brought, else the session itself. */
  get bearer(): string | Session {
    return this.demand.bearer ?? this;
  }

  /** When a token was added, on the monotonic clock: what the primary was seen to have before need not include it. */
  get addedAt(): number {
    return this.#addedAt;
  }

  /**
   * All that the session requires now, as a base64url text that is neither encrypted nor signed; empty when it requires
   * nothing. Hand it to `tidemark.session({ token })` in another process, and never to a user. While a write is in flight the token pins to the primary.
   */
  token(): string {
    const isOpen = this.writing || this.#anchor() !== undefined;
    return this.demand.token(isOpen);
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
    if (!this.demand.take(token)) return;
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
   * so far, or rejects likewise. Throws an `InvalidOptionError` for what can not be wanted.
   */
  replicated(replicas: number | "all", options?: ReplicatedOptions): Promise<number> {
    const before = async (): Promise<(Position | undefined)[]> => {
      await this.#written();
      return [...this.demand.written, ...(this.pinned ? [undefined] : [])];
    };
    this.#replicated ??= new Replicated(this.#parts.replicate);
    const held = this.#replicated.want(checkWanted(replicas, options), before);
    held.catch(() => {});
    return held;
  }

  /** For the router: whom to tell of a write to `shard`. */
  writerTo(shard: object): Writer {
    return this.#replicated?.writerTo(shard, this) ?? this;
  }

  #written(): Promise<void> | undefined {
    return this.writing ? this.#writes?.settled(() => this.demand.pin()) : undefined;
  }

  #anchor(): Promise<void> | undefined {
    return this.#parts.anchor?.(this)?.catch(() => this.demand.pin());
  }

  /** For whoever carries the token: has `watcher` told when a write begins, or is told of, and none is in flight; one at a time. */
  onWrite(watcher: WriteWatcher): void {
    this.#watcher = watcher;
  }

  /** Called by the router when a write is sent; `command` is its name, where one command stands for all. */
  writeStarted(command?: string): void {
    if (!this.writing) this.#watcher?.writeBegins(command);
    this.#wrote = true;
    this.#writes ??= new WritesInFlight();
    this.#writes.started();
  }

  /** Told by the router: the write is over, whatever came of it. */
  writeEnded(end: WriteEnd): void {
    const demand = this.demand;
    if (end === "unknown") demand.pin();
    else if (end !== "not-sent") demand.require(end, Date.now());
    this.#writes?.ended();
  }

  /** Told by the router: what was read is there at `position`, so that nothing older may be read later. */
  readAt(position: Position): void {
    if (this.demand.require({ ...position, read: true }, Date.now())) this.#moved = true;
  }

  /** Told by the router: a read was answered by whoever could be reached, without any proof. */
  answeredStale(): void {
    this.#stale = true;
  }

  /** How far the session has read, shard by shard. */
  get progresses(): Progresses {
    this.#progresses ??= new Progresses();
    return this.#progresses;
  }

  /** The same in `shard`. */
  in(shard: object): Progress {
    return this.progresses.in(shard);
  }

  /** Told by the router: of `lost` only what came up to `survivor` still exists. The token has to reach the user. */
  lose(lost: Position, survivor: Position): void {
    const demand = this.demand;
    demand.keep((position) => position !== lost);
    demand.require({ ...survivor, read: true }, demand.issuedAt);
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

  /** All that it requires, with what its tokens brought. */
  get demand(): Demand {
    if (this.#demand === undefined) {
      this.#demand = new Demand(this.#parts.ttlMs);
      for (const token of this.#parts.tokens()) this.#demand.take(token);
    }
    return this.#demand;
  }
}
