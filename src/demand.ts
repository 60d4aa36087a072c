/** All that a session requires of whoever answers its reads; it grows, but for what a failover has made void. */
import type { Position } from "./position.js";
import { type Claims, decodeToken, encodeToken, unknownWrite } from "./token.js";

const nowhere: readonly Position[] = [];

export class Demand {
  readonly #ttlMs: number;
  #positions: readonly Position[] = nowhere;
  #issuedAt = 0;
  #pinnedAt = 0;
  #freshAsOf = 0;
  /** Those that tokens said. */
  #brought = nowhere;
  #bearer: string | undefined;
  #bearerIssuedAt = 0;

  /** Pins, moments and tokens are in force for `ttlMs`. */
  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  get positions(): readonly Position[] {
    return this.#positions;
  }

  /**
   * The positions that a write of the user may be at. They include those that a token says were only read at, because a rounded
   * token says so of writes.
   */
  get written(): readonly Position[] {
    return [...this.#positions.filter(({ read }) => !read), ...this.#brought.filter(({ read }) => read)];
  }

  /** When the newest position was taken, in milliseconds since the epoch; 0 when there is none. */
  get issuedAt(): number {
    return this.#issuedAt;
  }

  /** A moment whose state of the primary is required, in milliseconds since the epoch; 0 for none. */
  get freshAsOf(): number {
    return this.#freshAsOf > 0 && Date.now() - this.#freshAsOf <= this.#ttlMs ? this.#freshAsOf : 0;
  }

  /** Whether only the primary can be trusted to have everything. */
  get pinned(): boolean {
    return this.#pinnedAt > 0 && Date.now() - this.#pinnedAt <= this.#ttlMs;
  }

  /**
   * The newest token that was taken, which tells one user from another; undefined when there was none. The stand-in for
   * tokens that cannot be read tells nobody from others, so any other token takes its place.
   */
  get bearer(): string | undefined {
    return this.#bearer;
  }

  /** Requires a position that is known since `issuedAt`; whether that is more than before. */
  require(position: Position, issuedAt: number): boolean {
    this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
    const [only] = this.#positions;
    if (
      only === undefined ||
      (this.#positions.length === 1 && includes(position, only) && !includes(only, position))
    ) {
      this.#positions = [position];
      return true;
    }
    const isMore = !this.#positions.some((one) => includes(one, position));
    if (isMore) this.#positions = [...this.#positions.filter((one) => !includes(position, one)), position];
    return isMore;
  }

  /** Requires what is not known. */
  pin(): void {
    this.#pinnedAt = Date.now();
  }

  /** Requires no more those positions for which `stands` is not true; whether there were any. */
  keep(stands: (position: Position) => boolean): boolean {
    const standing = this.#positions.filter(stands);
    if (standing.length === this.#positions.length) return false;
    this.#positions = standing;
    return true;
  }

  /**
   * Requires `position` instead of those that `stands` is not true of, because the one primary there is was read at it after
   * all of them.
   */
  reanchor(position: Position, stands: (position: Position) => boolean): void {
    if (this.keep(stands)) this.require({ ...position, read: true }, Date.now());
  }

  /**
   * Requires what a token says, if it is one and in force; whether that is more than before. Clocks of app servers differ, so
   * a token of a faster clock counts as issued now. One from further in the future than tokens are in force would outlive
   * them all: it counts as a write of unknown position, since its own positions are not to be believed for ever.
   */
  take(token: string): boolean {
    const now = Date.now();
    const claims = decodeToken(token);
    if (claims === undefined || now - claims.issuedAt > this.#ttlMs) return false;
    if (token === unknownWrite()) this.#bearer ??= token;
    else if (claims.issuedAt > this.#bearerIssuedAt)
      [this.#bearer, this.#bearerIssuedAt] = [token, claims.issuedAt];
    const [positions, pinnedAt, freshAsOf] = [this.#positions, this.#pinnedAt, this.#freshAsOf];
    if (claims.issuedAt - now > this.#ttlMs) this.pin();
    else this.#require(claims, now);
    return this.#positions !== positions || this.#pinnedAt > pinnedAt || this.#freshAsOf > freshAsOf;
  }

  #require(claims: Claims, now: number): void {
    const issuedAt = Math.min(claims.issuedAt, now);
    this.#brought = this.#brought === nowhere ? claims.positions : [...this.#brought, ...claims.positions];
    for (const position of claims.positions) this.require(position, issuedAt);
    this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
    this.#freshAsOf = Math.max(this.#freshAsOf, claims.freshAsOf);
    this.#pinnedAt = Math.max(this.#pinnedAt, Math.min(claims.pinnedAt, now));
  }

  /** Whether a token said `position`, and not this session's own write. */
  isBrought(position: Position): boolean {
    return this.#brought.includes(position);
  }

  /** All of it as a token that pins if `pins`; empty when nothing is required. */
  token(pins: boolean): string {
    const pinnedAt = pins ? Date.now() : this.pinned ? this.#pinnedAt : 0;
    const { positions, freshAsOf } = this;
    if (positions.length === 0 && pinnedAt === 0 && freshAsOf === 0) return "";
    return encodeToken({ issuedAt: Math.max(this.#issuedAt, pinnedAt), positions, pinnedAt, freshAsOf });
  }
}

/** Whether what requires `position` need not require `other` too. Of writes the newest tells what is lost. */
function includes(position: Position, other: Position): boolean {
  const tells = position.read === undefined || other.read === true;
  return position.replid === other.replid && position.offset >= other.offset && tells;
}
