/** What one user's session requires of the node that answers its reads; it never asks for less than before. */
import type { Redis } from "ioredis";
import { checkLevel, type Level } from "./level.js";
import type { Position } from "./position.js";
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

/** One connection to a replica, as long as it cannot have gone back in time. */
export interface Reader {
  /** Since when it is over, on the monotonic clock; undefined while it is not. */
  readonly overAt: number | undefined;
}

const settleDeadlineMs = 1_000;
const nowhere: readonly Position[] = [];
const nobody: unique symbol = Symbol("nobody");
const several: unique symbol = Symbol("several");

/** One user's line of reads and writes, for the length of a request or for as long as it is kept. */
export class Session {
  #level: Level;
  #parts: SessionParts;
  #client: SessionClient | undefined;
  #loaded = false;
  #positions: readonly Position[] = nowhere;
  #issuedAt = 0;
  #pinnedAt = 0;
  #wrote = false;
  #writesInFlight = 0;
  #waiting: (() => void)[] | undefined;
  #reader: Reader | typeof nobody | typeof several = nobody;
  #readAt = Number.NEGATIVE_INFINITY;

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

  /** Whether the session has started a write: then its token has to reach the user. */
  get wrote(): boolean {
    return this.#wrote;
  }

  /** Whether a write is still on its way; reads then follow it on the primary's own connection. */
  get writing(): boolean {
    return this.#writesInFlight > 0;
  }

  /** All that a node must cover before it may answer this session. */
  get positions(): readonly Position[] {
    this.#load();
    return this.#positions;
  }

  /** When the newest position was taken, in milliseconds since the epoch; 0 when there is none. */
  get issuedAt(): number {
    this.#load();
    return this.#issuedAt;
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
    if (this.#positions.length === 0 && pinnedAt === 0) return "";
    return encodeToken({
      issuedAt: Math.max(this.#issuedAt, pinnedAt),
      positions: this.#positions,
      pinnedAt,
    });
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

  /** Told by the router: a write leaves now. */
  writeStarted(): void {
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

  /**
   * Whether `reader`, one connection to a replica, may answer without going back in time: it alone has answered so
   * far, or nobody has. One connection to a replica only moves forward; two replicas are in no order.
   */
  mayReadFrom(reader: Reader): boolean {
    return this.#reader === nobody || this.#reader === reader;
  }

  /** Told by the router before a read leaves for a replica: later reads keep to the same connection. */
  readFrom(reader: Reader): void {
    if (this.#reader === nobody) this.#reader = reader;
  }

  /** Told by the router when a read was answered by a connection to a replica. */
  readBy(reader: Reader): void {
    if (this.#reader !== reader) this.readAhead(performance.now());
  }

  /**
   * Told by the router when a read was answered by the primary, which is ahead of every replica. A position asked for
   * after `at` stands for it: the time of sending, where both went over one connection, else that of the answer.
   */
  readAhead(at: number): void {
    this.#reader = several;
    this.#readAt = Math.max(this.#readAt, at);
  }

  /** Whether what the session has read is ahead of any one replica, until {@link anchor} finds a position for it. */
  get ahead(): boolean {
    return this.#aheadSince !== undefined;
  }

  /** From when on a position of the primary stands for all that was read; undefined when one reader may go on. */
  get #aheadSince(): number | undefined {
    if (this.#reader === nobody) return undefined;
    return this.#reader === several ? this.#readAt : this.#reader.overAt;
  }

  /**
   * Takes a position the primary was seen at, by an INFO sent at `at`. When that was after all reads so far, the
   * position stands for them and for everything required before: it replaces what cannot be compared with it.
   */
  anchor(at: number, position: Position): void {
    const since = this.#aheadSince;
    if (since === undefined || at <= since) return;
    this.#load();
    // It cannot be below a position the session rightly has: the primary was asked after all of them were taken.
    this.#positions = [position];
    this.#issuedAt = Date.now();
    this.#reader = nobody;
  }

  #require(position: Position, issuedAt: number): void {
    const same = this.#positions.find(({ replid }) => replid === position.replid);
    if (same === undefined) this.#positions = [...this.#positions, position];
    else if (same.offset < position.offset) {
      this.#positions = this.#positions.map((one) => (one === same ? position : one));
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
      this.#pinnedAt = Math.max(this.#pinnedAt, Math.min(claims.pinnedAt, now));
    }
  }
}
