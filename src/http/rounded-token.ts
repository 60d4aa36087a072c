/** Tokens that require slightly more than necessary, so that many responses bring the same token. */
import { requiresAsMuch } from "../replication/position.js";
import { decodeToken, encodeToken, type TokenClaims } from "../session/token.js";

const leastStep = 1024;
const growth = 4;
/** At this level a step is one terabyte. A replication stream gets past only a few such steps. */
const maxLevel = 16;
/** A token's times are rounded up to multiples of its lifetime divided by this number. */
const periodsPerLifetime = 4;

/**
 * Rounds the times of `token` up to multiples of a quarter of `ttlMs`. From level 1 it also rounds the offsets up: to multiples of
 * 1 kB, and of four times as much with each further level. A replica that has a rounded position also has the exact position. The
 * stream may not have reached a rounded offset yet, so no failover can prove that a write at this offset was lost. Therefore the
 * position is marked as one that was read (see `isOverstated`). Returns a text that is no token unchanged. `claims` are the claims
 * of `token`, if they are known already.
 */
export function roundedToken(
  token: string,
  level: number,
  ttlMs: number,
  claims: TokenClaims | undefined = decodeToken(token),
): string {
  if (claims === undefined) return token;
  const periodMs = periodOf(ttlMs);
  return encodeToken({
    issuedAt: upTo(periodMs, Date.now()),
    positions: level > 0 ? roundedPositions(claims, level) : claims.positions,
    pinnedAt: upTo(periodMs, claims.pinnedAt),
    freshAsOf: upTo(periodMs, claims.freshAsOf),
  });
}

/** Whether a token with these claims looks rounded. One in 15,000 exact tokens looks rounded too. */
export function isRounded({ issuedAt }: TokenClaims, ttlMs: number): boolean {
  return issuedAt % periodOf(ttlMs) === 0;
}

/**
 * Whether no response can bring a rounded token with these claims any more, and `whole` requires at least as much as the claims.
 */
export function isContained(claims: TokenClaims, whole: TokenClaims | undefined): boolean {
  if (whole === undefined || claims.issuedAt >= Date.now()) return false;
  if (claims.pinnedAt > whole.pinnedAt || claims.freshAsOf > whole.freshAsOf) return false;
  return claims.positions.every((position) => whole.positions.some((one) => requiresAsMuch(one, position)));
}

/** One position of each history. The order does not depend on which shard was written to first. */
function roundedPositions({ positions }: TokenClaims, level: number): TokenClaims["positions"] {
  const step = leastStep * growth ** (Math.min(level, maxLevel) - 1);
  const offsets = new Map<string, number>();
  for (const { replid, offset } of positions) {
    const rounded = Math.min(upTo(step, offset), Number.MAX_SAFE_INTEGER);
    offsets.set(replid, Math.max(rounded, offsets.get(replid) ?? 0));
  }
  return [...offsets]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([replid, offset]) => ({ replid, offset, read: true }));
}

function periodOf(ttlMs: number): number {
  return Math.ceil(ttlMs / periodsPerLifetime);
}

function upTo(step: number, value: number): number {
  return Math.ceil(value / step) * step;
}
