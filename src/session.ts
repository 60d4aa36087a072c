/** What one user's session requires of the node that answers its reads; it never asks for less than before. */
import type { Redis } from "ioredis";
import { Demand } from "./demand.js";
import { InvalidOptionError } from "./errors.js";
import { checkLevel, type Level } from "./level.js";
import type { Position } from "./position.js";
import { Progress } from "./progress.js";

/** An ioredis client whose commands belong to one session. */
export type SessionClient = Redis & {
  /** The same client at another level, for single calls: `redis.at("strong").get(key)`. */
  at(level: Level): SessionClient;
};

/** What became of a write: the position that covers it, nothing known, or proof that no server received it. */
export type WriteEnd = Position | "unknown" | "not-sent";

/** Makes tokens fit to be handed to users: nobody else can make one, or change it. */
export interface Seal {
  seal(token: string): string;
  /** Undefined for whatever it has not sealed. */
  open(sealed: unknown): { readonly token: string } | undefined;
}

/** What a session is made of. */
export interface SessionParts {
  readonly level: Level;
  /** Unsigned tokens to start from; called once, when the session first needs them. */
  readonly tokens: () => readonly string[];
  /** How long a token, and a pin to the primary, is in force. */
  readonly ttlMs: number;
  readonly seal?: Seal | undefined;
  /** Makes the session's client; called once, when it is first used. */
  readonly client: (session: Session) => SessionClient;
}

const settleDeadlineMs = 1_000;
/** More than fit into one header. */
const maxSealed = 180;

/** One user's line of reads and writes, for the length of a request or for as long as it is kept. */
export class Session {
  #level: Level;
  #parts: SessionParts;
  #client: SessionClient | undefined;
  readonly #demand: Demand;
  #loaded = false;
  #addedAt = Number.NEGATIVE_INFINITY;
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
    this.#demand = new Demand(parts.ttlMs);
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
    return this.#loadedDemand.token(this.writing);
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
   * Undefined when no write is in flight, else a promise that resolves once the positions of all of them are known.
   * After one second it resolves all the same, and the session is pinned to the primary. It never rejects.
   */
  settled(): Promise<void> | undefined {
    if (!this.writing) return undefined;
    return new Promise((resolve) => {
      const deadline = setTimeout(() => {
        this.#demand.pin();
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
    const demand = this.#loadedDemand;
    if (end === "unknown") demand.pin();
    else if (end !== "not-sent") demand.require(end, Date.now());
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

  #release(): void {
    if (this.writing) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const resolve of waiting) resolve();
  }

  get #loadedDemand(): Demand {
    if (this.#loaded) return this.#demand;
    this.#loaded = true;
    for (const token of this.#parts.tokens()) this.#demand.take(token);
    return this.#demand;
  }
}
