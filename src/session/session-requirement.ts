/**
 * Holds everything that a session requires of the nodes that answer its reads. The requirement only grows, except when a failover
 * has lost data.
 */

import { anyKey, type Touched } from "../commands/touched-keys.js";
import { type Position, positionAt, withPosition } from "../replication/position.js";
import { WrittenKeys } from "../replication/written-keys.js";
import { SmallMap } from "./small-map.js";
import { claimsOf, encodeToken, type TokenClaims, unknownWrite } from "./token.js";

const nowhere: readonly Position[] = [];

export class SessionRequirement {
  readonly #ttlMs: number;
  readonly #maxKeys: number;
  #positions: readonly Position[] = nowhere;
  /** The positions of the session's own writes with known keys, by scope. The scope is undefined for keys of several scopes. */
  #own: SmallMap<string | undefined, readonly Position[]> | undefined;
  /** The positions that reads in each scope require. Cleared when the requirement changes. */
  #required: SmallMap<string | undefined, readonly Position[]> | undefined;
  /** Whether all scopes count as one. */
  #isWhole = false;
  #issuedAt = 0;
  #learntAt = Number.NEGATIVE_INFINITY;
  #pinnedAt = 0;
  #freshAsOf = 0;
  /** The positions that came with the first token. */
  #firstBrought = nowhere;
  /** The positions that came with the other tokens. Not one list for all, because most requests carry one token. */
  #alsoBrought: Position[] | undefined;
  #identity: string | undefined;
  #identityIssuedAt = 0;

  /** Pins, moments and tokens stay valid for `ttlMs`. The keys of the latest `maxKeys` writes of each history are remembered. */
  constructor(ttlMs: number, maxKeys: number) {
    this.#ttlMs = ttlMs;
    this.#maxKeys = maxKeys;
  }

  get positions(): readonly Position[] {
    return this.#positions;
  }

  /**
   * The positions that reads in `scope` require, or reads in any scope if `scope` is undefined. Of the positions that tokens
   * brought, each read requires only the ones that its keys need. Of the session's own writes, each read requires all in the
   * scope, so that one request sees its writes in order.
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
   * The positions that a write of the user may have. Positions that a token marks as only read are included, because a rounded
   * token marks positions of writes in the same way.
   */
  get written(): readonly Position[] {
    return [...this.#positions.filter(({ read }) => !read), ...this.#brought.filter(({ read }) => read)];
  }

  /** The positions that came with tokens. */
  get #brought(): readonly Position[] {
    const [first, others] = [this.#firstBrought, this.#alsoBrought];
    return others === undefined ? first : [...first, ...others];
  }

  /** When the newest position was taken, in milliseconds since the epoch. 0 if there is no position. */
  get issuedAt(): number {
    return this.#issuedAt;
  }

  /** When the session took in its newest position or token, on the monotonic clock. The primary had all of it by then. */
  get learntAt(): number {
    return this.#learntAt;
  }

  /** Reads must see the primary's state at this moment, in milliseconds since the epoch. 0 for no such moment. */
  get freshAsOf(): number {
    return this.#freshAsOf > 0 && Date.now() - this.#freshAsOf <= this.#ttlMs ? this.#freshAsOf : 0;
  }

  /** Whether only the primary is sure to have everything that the session requires. */
  get pinned(): boolean {
    return this.#pinnedAt > 0 && Date.now() - this.#pinnedAt <= this.#ttlMs;
  }

  /**
   * The newest token that the session was given, which tells one user from another. Undefined if there was none. The stand-in for
   * unreadable tokens identifies no user, so any other token replaces the stand-in.
   */
  get identity(): string | undefined {
    return this.#identity;
  }

  /**
   * Requires the position of a write to `touched`. The position is known since `issuedAt`. Returns whether the session now
   * requires more than before.
   */
  require(position: Position, issuedAt: number, touched: Touched = anyKey): boolean {
    this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
    this.#learntAt = performance.now();
    const { scope, hashes } = touched;
    if (hashes !== undefined) {
      this.#own ??= new SmallMap();
      this.#own.set(scope, withPosition(this.#own.get(scope) ?? nowhere, position, 0));
    }
    // A write that touches no keys is visible to no read.
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

  /** Makes all scopes count as one from now on. */
  joinScopes(): void {
    this.#isWhole = true;
  }

  /** Sends reads to the primary, because the position of a write is unknown. */
  pin(): void {
    this.#pinnedAt = Date.now();
  }

  /** Drops the positions for which `stands` is false. Returns whether there were any. */
  #keep(stands: (position: Position) => boolean): boolean {
    const standing = this.#positions.filter(stands);
    if (standing.length === this.#positions.length) return false;
    this.#positions = standing;
    this.#required = undefined;
    return true;
  }

  /**
   * Requires `survivor` instead of `lost` and of all later positions in the same history. Writes after `survivor` no longer
   * exist.
   */
  lose(lost: Position, survivor: Position): void {
    this.#keep(({ replid, offset }) => replid !== lost.replid || offset <= survivor.offset);
    for (const [scope, positions] of this.#own?.entries ?? [])
      this.#own?.set(
        scope,
        positions.filter(({ replid }) => replid !== lost.replid),
      );
    this.#add(positionAt(survivor.replid, survivor.offset, true));
  }

  /**
   * Replaces the positions for which `stands` is false by `position`. The only primary reported `position` after all of them. The
   * requirement on each key moves to `position` too.
   */
  replaceUnknown({ replid, offset }: Position, stands: (position: Position) => boolean): void {
    const fallen = this.#positions.filter((position) => !stands(position));
    if (!this.#keep(stands)) return;
    this.#issuedAt = Math.max(this.#issuedAt, Date.now());
    for (const { keys } of fallen) this.#add(positionAt(replid, offset, true, keys?.movedTo(offset)));
    for (const [scope, positions] of this.#own?.entries ?? []) {
      const standing = positions.filter(stands);
      if (standing.length === positions.length) continue;
      this.#own?.set(scope, withPosition(standing, positionAt(replid, offset, true), 0));
    }
  }

  /**
   * Requires the content of a token, if the token is well-formed and still valid. Returns whether the session now requires more
   * than before. Clocks of app servers differ, so a token from a faster clock counts as issued now. If a token is dated further
   * ahead than tokens are valid, its positions would stay required for too long. Such a token counts as a write of unknown
   * position.
   */
  addToken(token: string): boolean {
    const now = Date.now();
    const claims = claimsOf(token);
    if (claims === undefined || now - claims.issuedAt > this.#ttlMs) return false;
    // Set even if the token adds nothing. A rounded token that is sent again may stand for a later write than before.
    this.#learntAt = performance.now();
    if (token === unknownWrite()) this.#identity ??= token;
    else if (claims.issuedAt > this.#identityIssuedAt)
      [this.#identity, this.#identityIssuedAt] = [token, claims.issuedAt];
    const [positions, pinnedAt, freshAsOf] = [this.#positions, this.#pinnedAt, this.#freshAsOf];
    if (claims.issuedAt - now > this.#ttlMs) this.pin();
    else this.#require(claims, now);
    return this.#positions !== positions || this.#pinnedAt > pinnedAt || this.#freshAsOf > freshAsOf;
  }

  #require(claims: TokenClaims, now: number): void {
    const issuedAt = Math.min(claims.issuedAt, now);
    if (this.#firstBrought === nowhere) this.#firstBrought = claims.positions;
    else {
      this.#alsoBrought ??= [];
      this.#alsoBrought.push(...claims.positions);
    }
    for (const position of claims.positions) this.#add(position);
    this.#issuedAt = Math.max(this.#issuedAt, issuedAt);
    this.#freshAsOf = Math.max(this.#freshAsOf, claims.freshAsOf);
    this.#pinnedAt = Math.max(this.#pinnedAt, Math.min(claims.pinnedAt, now));
  }

  /** Whether `position` came with a token. False if it comes only from this session's own writes. */
  isBrought({ replid, offset }: Position): boolean {
    return this.#brought.some((one) => one.replid === replid && one.offset === offset);
  }

  /** A token that names no positions and pins its session to the primary. */
  pinToken(): string {
    const now = Date.now();
    return encodeToken({ issuedAt: now, positions: nowhere, pinnedAt: now, freshAsOf: 0 });
  }

  /**
   * The whole requirement as a token. Empty when nothing is required. If `pins` is true, the token pins its session to the
   * primary. If `everything` is true, each read of a session with this token requires all writes, whichever keys the read
   * touches.
   */
  token(pins: boolean, everything: boolean): string {
    const pinnedAt = pins ? Date.now() : this.pinned ? this.#pinnedAt : 0;
    const { freshAsOf } = this;
    if (this.#positions.length === 0 && pinnedAt === 0 && freshAsOf === 0) return "";
    const positions = everything
      ? this.#positions.map(({ replid, offset, read }) => positionAt(replid, offset, read))
      : this.#positions;
    const issuedAt = Math.max(this.#issuedAt, pinnedAt);
    return encodeToken({ issuedAt, positions, pinnedAt, freshAsOf }, this.#maxKeys);
  }
}
