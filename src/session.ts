/** What one user's session requires of the node that answers its reads; it never asks for less than before. */
import { Demand } from "./demand.js";
import { InvalidOptionError } from "./errors.js";
import type { Position } from "./position.js";
import { type Progress, Progresses } from "./progress.js";
import type { Seal, SessionClient, SessionParts, WriteEnd } from "./session-parts.js";
import { type Consistency, checkConsistency, onto, type ReadOptions, type Terms } from "./terms.js";
import { WritesInFlight } from "./writes-in-flight.js";

export type { Seal, SessionClient, SessionParts, WriteEnd } from "./session-parts.js";

/** More than fit into one header. */
const maxSealed = 180;

/** One user's line of reads and writes, for the length of a request or for as long as it is kept. */
export class Session {
  #level: Consistency;
  #terms: Terms | undefined;
  #parts: SessionParts<Session>;
  #client: SessionClient | undefined;
  readonly #demand: Demand;
  #loaded = false;
  #addedAt = Number.NEGATIVE_INFINITY;
  #wrote = false;
  #moved = false;
  #stale = false;
  #late: (() => void) | undefined;
  readonly #writes = new WritesInFlight();
  readonly #progresses = new Progresses();

  /** Made by `tidemark.session()`. */
  constructor(parts: SessionParts<Session>) {
    this.#parts = parts;
    this.#level = parts.level;
    this.#demand = new Demand(parts.ttlMs);
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

  /** Whether a read was answered without proof, because the primary was gone and `staleIfPrimaryGone` allowed it. */
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

  /** Whether more is required than what its tokens have brought: for what it wrote, or with monotonic reads has read. */
  get moved(): boolean {
    return this.#wrote || this.#moved;
  }

  /** Whether a write is still on its way; reads then follow it on the primary's own connection. */
  get writing(): boolean {
    return this.#writes.any;
  }

  /** What the session has written, or was brought by tokens: all of it is to be found wherever it reads. */
  get positions(): readonly Position[] {
    return this.#loadedDemand.positions;
  }

  /** When the newest position was taken, in milliseconds since the epoch; 0 when there is none. */
  get issuedAt(): number {
    return this.#loadedDemand.issuedAt;
  }

  /** All that the primary had then has to be wherever the session reads, in milliseconds since the epoch; 0 for nothing. */
  get freshAsOf(): number {
    return this.#loadedDemand.freshAsOf;
  }

  /** Whether only the primary may answer, because a write was made whose position is not known. */
  get pinned(): boolean {
    return this.#loadedDemand.pinned;
  }

  /** When a token was added, on the monotonic clock: what the primary was seen to have before need not include it. */
  get addedAt(): number {
    return this.#addedAt;
  }

  /**
   * All that the session requires now, as an unsigned base64url text; empty when it requires nothing. Hand it to
   * `tidemark.session({ token })` in another process. While a write is in flight the token pins to the primary.
   */
  token(): string {
    const isOpen = this.writing || this.#anchor() !== undefined;
    return this.#loadedDemand.token(isOpen);
  }

  /** The same, sealed with the secret of `readYourWrites`, to be handed to the user or to another service. */
  sealed(): string {
    const token = this.token();
    return token === "" ? token : this.#seal.seal(token);
  }

  /**
   * Requires from now on also what `token` says: what `token()` gave in a worker, say, about what it has written. The
   * user is then brought the token of both. Whatever is not a token counts as absent.
   */
  add(token: string): void {
    if (!this.#loadedDemand.take(token)) return;
    this.#addedAt = performance.now();
    if (!this.writing) this.#late?.();
    this.#wrote = true;
  }

  /**
   * The same for what `sealed()` gave, for the header of another service's answer, or for several of these with commas
   * between them. Whatever else it is counts as absent.
   */
  addSealed(sealed: string | null | undefined): void {
    const texts = typeof sealed === "string" ? sealed.split(",", maxSealed) : [];
    for (const text of texts) {
      const opened = this.#seal.open(text.trim());
      if (opened !== undefined) this.add(opened.token);
    }
  }

  /**
   * Undefined when the token says all there is to say, else a promise that resolves once the positions of all writes in
   * flight are known, and with monotonic reads those of all that was read. After one second it resolves all the same, and
   * the session is pinned to the primary. It never rejects.
   */
  settled(): Promise<void> | undefined {
    if (!this.writing) return this.#anchor();
    return this.#writes.settled(() => this.#demand.pin()).then(() => this.#anchor());
  }

  #anchor(): Promise<void> | undefined {
    return this.#parts.anchor?.(this)?.catch(() => this.#demand.pin());
  }

  /** Told by whoever carries the token: it has left. `late` is called when writes are begun that it knows nothing of. */
  tokenLeft(late: () => void): void {
    this.#late = late;
  }

  /** Told by the router: a write leaves now. */
  writeStarted(): void {
    if (this.#late !== undefined && !this.writing) this.#late();
    this.#wrote = true;
    this.#writes.started();
  }

  /** Told by the router: the write is over, whatever came of it. */
  writeEnded(end: WriteEnd): void {
    const demand = this.#loadedDemand;
    if (end === "unknown") demand.pin();
    else if (end !== "not-sent") demand.require(end, Date.now());
    this.#writes.ended();
  }

  /** Told by the router: what was read is there at `position`, so that nothing older may be read later. */
  readAt(position: Position): void {
    if (this.#loadedDemand.require({ ...position, read: true }, Date.now())) this.#moved = true;
  }

  /** Told by the router: a read was answered by whoever could be reached, without any proof. */
  answeredStale(): void {
    this.#stale = true;
  }

  /** How far the session has read in `shard`, whatever that is to the caller; undefined when it has not. */
  progressIn(shard: object): Progress | undefined {
    return this.#progresses.find(shard);
  }

  /** How far the session has read in `shard`. */
  in(shard: object): Progress {
    return this.#progresses.in(shard);
  }

  /**
   * Told by the router: `position` is what the session has to require from now on instead of those that `stands` is
   * not true of, because the one primary there is was read at it after all of them.
   */
  reanchor(position: Position, stands: (position: Position) => boolean): void {
    if (this.#demand.keep(stands)) this.#demand.require({ ...position, read: true }, Date.now());
  }

  /** Told by the router: of `lost` only what came up to `survivor` still exists. The token has to reach the user. */
  lose(lost: Position, survivor: Position): void {
    this.#demand.keep((position) => position !== lost);
    this.#demand.require({ ...survivor, read: true }, this.#demand.issuedAt);
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

  get #loadedDemand(): Demand {
    if (this.#loaded) return this.#demand;
    this.#loaded = true;
    for (const token of this.#parts.tokens()) this.#demand.take(token);
    return this.#demand;
  }
}
