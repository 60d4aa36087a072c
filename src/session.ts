/** What one user's session requires of the node that answers its reads; it never asks for less than before. */
import type { Redis } from "ioredis";
import { checkLevel, type Level } from "./level.js";
import type { Position } from "./position.js";
import { Progress } from "./progress.js";
import { decodeToken, encodeToken } from "./token.js";

/** An ioredis client whose commands belong to one session. */
export type SessionClient = Redis & {
  /** The same client at another level, for single calls: `redis.at("strong").get(key)`. */
  at(level: Level): SessionClient;
};

/** What became of a write: the position that covers it, nothing known, or proof that no server received it. */
export type WriteEnd = Position | "unknown" | "not-sent";

/** What a session is made of. */
export interface SessionParts {
  readonly level: Level;
  /** Unsigned tokens to start from; called once, when the session first needs them. */
  readonly tokens: () => readonly string[];
  /** How long a token, and a pin to the primary, is in force. */
  readonly ttlMs: number;
  /** Makes the session's client; called once, when it is first used. */
  readonly client: (session: Session) => SessionClient;
}

const settleDeadlineMs = 1_000;
const nowhere: readonly Position[] = [];

/** One user's line of reads and writes, for the length of a request or for as long as it is kept. */
export class Session {
  #level: Level;
  #parts: SessionParts;
  #client: SessionClient | undefined;
  #loaded = false;
  #positions: readonly Position[] = nowhere;
  #issuedAt = 0;
  #pinnedAt = 0;
  #freshAsOf = 0;
  #wrote = false;
  #writesInFlight = 0;
  #late: (() => void) | undefined;
  #waiting: (() => void)[] | undefined;
  /** The shard that was read last, and how far. */
  #shard: object | undefined;
  #progress: Progress | undefined;
  #others: Map<object, Progress> | undefined;

  /** Made by `tidemark.session()`. */
  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#level = parts.level;
  }

  /** The level of reads that name none. Setting it throws an `InvalidOptionError` for anything that is not a level. */
  get level(): Level {
    return this.#level;
  }

  set level(level: Level) {
    this.#level = checkLevel(level);
  }

  /** The client whose reads and writes belong to this session. */
  get redis(): SessionClient {
    this.#client ??= this.#parts.client(this);
    return this.#client;
  }

  /** The session's client at another level, for single calls. */
  at(level: Level): SessionClient {
    return this.redis.at(level);
  }

  /** Whether the session has started a write, or has been told that one is lost: then its token has to reach the user. */
  get wrote(): boolean {
    return this.#wrote;
  }

  /** Whether a write is still on its way; reads then follow it on the primary's own connection. */
  get writing(): boolean {
    return this.#writesInFlight > 0;
  }

  /** What the session has written, or was brought by its tokens: all of it is to be found wherever it reads. */
  get positions(): readonly Position[] {
    this.#load();
    return this.#positions;
  }

  /** When the newest position was taken, in milliseconds since the epoch; 0 when there is none. */
  get issuedAt(): number {
    this.#load();
    return this.#issuedAt;
  }

  /** All that the primary had then has to be wherever the session reads, in milliseconds since the epoch; 0 for nothing. */
  get freshAsOf(): number {
    this.#load();
    return Date.now() - this.#freshAsOf <= this.#parts.ttlMs ? this.#freshAsOf : 0;
  }

  /** Whether only the primary may answer, because a write was made whose position is not known. */
  get pinned(): boolean {
    this.#load();
    return this.#pinnedAt > 0 && Date.now() - this.#pinnedAt <= this.#parts.ttlMs;
  }

  /**
   * All that the session requires now, as an unsigned base64url text; empty when it requires nothing. Hand it to
   * `tidemark.session({ token })` in another process. While a write is in flight the token pins to the primary.
   */
  token(): string {
    this.#load();
    const pinnedAt = this.writing ? Date.now() : this.pinned ? this.#pinnedAt : 0;
    const { freshAsOf } = this;
    if (this.#positions.length === 0 && pinnedAt === 0 && freshAsOf === 0) return "";
    const issuedAt = Math.max(this.#issuedAt, pinnedAt);
    return encodeToken({ issuedAt, positions: this.#positions, pinnedAt, freshAsOf });
  }

  /**
   * Undefined when no write is in flight, else a promise that resolves once the positions of all of them are known.
   * After one second it resolves all the same, and the session is pinned to the primary. It never rejects.
   */
  settled(): Promise<void> | undefined {
    if (!this.writing) return undefined;
    return new Promise((resolve) => {
      const deadline = setTimeout(() => {
        this.#pin();
        resolve();
      }, settleDeadlineMs);
      this.#waiting ??= [];
      this.#waiting.push(() => {
        clearTimeout(deadline);
        resolve();
      });
    });
  }

  /** Told by whoever carries the token: it has left. `late` is called when writes are begun that it knows nothing of. */
  tokenLeft(late: () => void): void {
    this.#late = late;
  }

  /** Told by the router: a write leaves now. */
  writeStarted(): void {
    if (this.#late !== undefined && !this.writing) this.#late();
    this.#wrote = true;
    this.#writesInFlight += 1;
  }

  /** Told by the router: the write is over, whatever came of it. */
  writeEnded(end: WriteEnd): void {
    this.#load();
    if (end === "unknown") this.#pin();
    else if (end !== "not-sent") this.#require(end, Date.now());
    this.#writesInFlight -= 1;
    // Not at once: ioredis answers NOSCRIPT by sending the script, and a write that follows a write is part of it.
    if (!this.writing && this.#waiting !== undefined) setImmediate(() => this.#release());
  }

  /** How far the session has read in `shard`, whatever that is to the caller. */
  in(shard: object): Progress {
    if (this.#shard === shard && this.#progress !== undefined) return this.#progress;
    if (this.#shard !== undefined && this.#progress !== undefined) {
      this.#others ??= new Map();
      this.#others.set(this.#shard, this.#progress);
    }
    this.#shard = shard;
    this.#progress = this.#others?.get(shard) ?? new Progress();
    return this.#progress;
  }

  /**
   * Told by the router: `position` is what the session has to require from now on instead of those that `stands` is
   * not true of, because the one primary there is was read at it after all of them.
   */
  reanchor(position: Position, stands: (position: Position) => boolean): void {
    const standing = this.#positions.filter(stands);
    if (standing.length === this.#positions.length) return;
    this.#positions = standing;
    this.#require({ ...position, read: true }, Date.now());
  }

  /** Told by the router: of `lost` only what came up to `survivor` still exists. The token has to reach the user. */
  lose(lost: Position, survivor: Position): void {
    this.#positions = this.#positions.filter((position) => position !== lost);
    this.#require({ ...survivor, read: true }, this.#issuedAt);
    this.#wrote = true;
  }

  #require(position: Position, issuedAt: number): void {
    if (!this.#positions.some((one) => includes(one, position))) {
      this.#positions = [...this.#positions.filter((one) => !includes(position, one)), position];
    }
    this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
  }

  #release(): void {
    if (this.writing) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const resolve of waiting) resolve();
  }

  #pin(): void {
    this.#pinnedAt = Date.now();
  }

  #load(): void {
    if (this.#loaded) return;
    this.#loaded = true;
    const now = Date.now();
    for (const token of this.#parts.tokens()) {
      const claims = decodeToken(token);
      if (claims === undefined || now - claims.issuedAt > this.#parts.ttlMs) continue;
      // Another machine's clock may be ahead: its token counts as issued now, never as absent.
      const issuedAt = Math.min(claims.issuedAt, now);
      for (const position of claims.positions) this.#require(position, issuedAt);
      this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
      this.#freshAsOf = Math.max(this.#freshAsOf, claims.freshAsOf);
      this.#pinnedAt = Math.max(this.#pinnedAt, Math.min(claims.pinnedAt, now));
    }
  }
}

/** Whether what requires `position` need not require `other` too. Of writes the newest tells what is lost. */
function includes(position: Position, other: Position): boolean {
  const tells = position.read === undefined || other.read === true;
  return position.replid === other.replid && position.offset >= other.offset && tells;
}
