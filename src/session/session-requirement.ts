/** All that a session requires of the nodes that answer its reads; it grows, but for what a failover has made void. */

import { anyKey, type Touched } from "../commands/touched-keys.js";
import { type Position, positionAt, withPosition } from "../replication/position.js";
import { WrittenKeys } from "../replication/written-keys.js";
import { SmallMap } from "./small-map.js";
import { decodeToken, encodeToken, type TokenClaims, unknownWrite } from "./token.js";

const nowhere: readonly Position[] = [];

export class SessionRequirement {
  readonly #ttlMs: number;
  readonly #maxKeys: number;
  #positions: readonly Position[] = nowhere;
  /** The positions of the session's own writes whose keys are known, by their scopes; undefined for keys of several. */
  #own: SmallMap<string | undefined, readonly Position[]> | undefined;
  /** What reads in each scope require, until it changes. */
  #required: SmallMap<string | undefined, readonly Position[]> | undefined;
  /** Whether all scopes count as one. */
  #isWhole = false;
  #issuedAt = 0;
  #learntAt = Number.NEGATIVE_INFINITY;
  #pinnedAt = 0;
  #freshAsOf = 0;
  /** Those that tokens said. */
  #brought = nowhere;
  #bearer: string | undefined;
  #bearerIssuedAt = 0;

  /** Pins, moments and tokens are in force for `ttlMs`. Of each history the keys of the latest `maxKeys` writes are remembered. */
  constructor(ttlMs: number, maxKeys = 0) {
    this.#ttlMs = ttlMs;
    this.#maxKeys = maxKeys;
  }

  get positions(): readonly Position[] {
    return this.#positions;
  }

  /**
   * The positions that reads in `scope` require, in any where it is undefined: of what tokens brought each read requires only
   * what its keys need, of the session's own writes in the scope all, so that one request sees things in their order.
   */
  requiredIn(scope: string | undefined): readonly Position[] {
    const own = this.#own;
    if (own === undefined) return this.#positions;
    const of = this.#isWhole ? undefined : scope;
    this.#required ??= new SmallMap();
    let required = this.#required.get(of);
    if (required === undefined) {
      required = this.#positions;
      for (const [ofScope, positions] of own.entries)
        if (of === undefined || ofScope === of)
          for (const position of positions) required = withPosition(required, position, this.#maxKeys);
      this.#required.set(of, required);
    }
    return required;
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

  /** When the newest position or token was taken in, on the monotonic clock: the primary had all of it by then. */
  get learntAt(): number {
    return this.#learntAt;
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

  /** Requires a position that is known since `issuedAt`, of a write to what was `touched`; whether that is more than before. */
  require(position: Position, issuedAt: number, touched: Touched = anyKey): boolean {
    this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
    this.#learntAt = performance.now();
    const { scope, hashes } = touched;
    if (hashes !== undefined) {
      this.#own ??= new SmallMap();
      this.#own.set(scope, withPosition(this.#own.get(scope) ?? nowhere, position, 0));
    }
    // No read can see it.
    if (hashes?.length === 0) return false;
    const { replid, offset, read } = position;
    return this.#add(
      hashes === undefined
        ? position
        : positionAt(replid, offset, read, WrittenKeys.at(offset, hashes, this.#maxKeys)),
    );
  }

  #add(position: Position): boolean {
    const before = this.#positions;
    this.#positions = withPosition(before, position, this.#maxKeys);
    this.#required = undefined;
    return this.#positions !== before;
  }

  /** Has all scopes count as one from now on. */
  joinScopes(): void {
    this.#isWhole = true;
  }

  /** Requires what is not known. */
  pin(): void {
    this.#pinnedAt = Date.now();
  }

  /** Requires no more those positions for which `stands` is not true; whether there were any. */
  #keep(stands: (position: Position) => boolean): boolean {
    const standing = this.#positions.filter(stands);
    if (standing.length === this.#positions.length) return false;
    this.#positions = standing;
    this.#required = undefined;
    return true;
  }

  /** Requires `survivor` instead of `lost` and all others behind it: only what came up to that still exists. */
  lose(lost: Position, survivor: Position): void {
    this.#keep(({ replid, offset }) => replid !== lost.replid || offset <= survivor.offset);
    for (const [scope, positions] of this.#own?.entries ?? [])
      this.#own?.set(
        scope,
        positions.filter(({ replid }) => replid !== lost.replid),
      );
    this.#add({ replid: survivor.replid, offset: survivor.offset, read: true });
  }

  /**
   * Requires `position` instead of those that `stands` is not true of, because the one primary there is was read at it after
   * all of them. What they require of each key, `position` does.
   */
  replaceUnknown({ replid, offset }: Position, stands: (position: Position) => boolean): void {
    const fallen = this.#positions.filter((position) => !stands(position));
    if (!this.#keep(stands)) return;
    this.#issuedAt = Math.max(this.#issuedAt, Date.now());
    for (const { keys } of fallen) this.#add(positionAt(replid, offset, true, keys?.movedTo(offset)));
    for (const [scope, positions] of this.#own?.entries ?? []) {
      const standing = positions.filter(stands);
      if (standing.length === positions.length) continue;
      this.#own?.set(scope, withPosition(standing, { replid, offset, read: true }, 0));
    }
  }

  /**
   * Requires what a token says, if it is one and in force; whether that is more than before. Clocks of app servers differ, so
   * a token of a faster clock counts as issued now. One from further in the future than tokens are in force would outlive
   * them all: it counts as a write of unknown position, since its own positions are not to be believed for ever.
   */
  addToken(token: string): boolean {
    const now = Date.now();
    const claims = decodeToken(token);
    if (claims === undefined || now - claims.issuedAt > this.#ttlMs) return false;
    // Even where it says nothing new: a rounded token that comes again may stand for a later write than before.
    this.#learntAt = performance.now();
    if (token === unknownWrite()) this.#bearer ??= token;
    else if (claims.issuedAt > this.#bearerIssuedAt)
      [this.#bearer, this.#bearerIssuedAt] = [token, claims.issuedAt];
    const [positions, pinnedAt, freshAsOf] = [this.#positions, this.#pinnedAt, this.#freshAsOf];
    if (claims.issuedAt - now > this.#ttlMs) this.pin();
    else this.#require(claims, now);
    return this.#positions !== positions || this.#pinnedAt > pinnedAt || this.#freshAsOf > freshAsOf;
  }

  #require(claims: TokenClaims, now: number): void {
    const issuedAt = Math.min(claims.issuedAt, now);
    this.#brought = this.#brought === nowhere ? claims.positions : [...this.#brought, ...claims.positions];
    for (const position of claims.positions) this.#add(position);
    this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
    this.#freshAsOf = Math.max(this.#freshAsOf, claims.freshAsOf);
    this.#pinnedAt = Math.max(this.#pinnedAt, Math.min(claims.pinnedAt, now));
  }

  /** Whether a token said `position`, and not this session's own write. */
  isBrought({ replid, offset }: Position): boolean {
    return this.#brought.some((one) => one.replid === replid && one.offset === offset);
  }

  /**
   * All of it as a token that pins if `pins`; empty when nothing is required. With `everything` each read of a session that takes
   * the token requires all that was written, whatever the keys of the read are.
   */
  token(pins: boolean, everything: boolean): string {
    const pinnedAt = pins ? Date.now() : this.pinned ? this.#pinnedAt : 0;
    const { freshAsOf } = this;
    if (this.#positions.length === 0 && pinnedAt === 0 && freshAsOf === 0) return "";
    const positions = everything
      ? this.#positions.map(({ replid, offset, read }) => positionAt(replid, offset, read, undefined))
      : this.#positions;
    const issuedAt = Math.max(this.#issuedAt, pinnedAt);
    return encodeToken({ issuedAt, positions, pinnedAt, freshAsOf }, this.#maxKeys);
  }
}
