/** Tokens that ask for somewhat more than they have to, so that many responses have the same one. */
import { requiresAsMuch } from "../replication/position.js";
import { decodeToken, encodeToken, type TokenClaims } from "../session/token.js";

const leastStep = 1024;
const growth = 4;
/** Steps of a terabyte: no stream of replication gets past a few of these. */
const maxLevel = 16;
/** Times are rounded to this part of a token's lifetime. */
const periodsPerLifetime = 4;

/**
 * `token` with its times rounded up to a quarter of `ttlMs`; from level 1 also with its offsets rounded up to 1 kB, and to
 * four times as much with each further level. A replica that has a rounded position has the exact one too. The stream may
 * not have come to a rounded offset yet, so it counts as read (see `overstated.ts`): no failover can prove a write there to be lost. Anything that
 * is no token comes back unchanged.
 */
export function roundedToken(token: string, level: number, ttlMs: number): string {
  const claims = decodeToken(token);
  if (claims === undefined) return token;
  const periodMs = periodOf(ttlMs);
  return encodeToken({
    issuedAt: upTo(periodMs, Date.now()),
    positions: level > 0 ? roundedPositions(claims, level) : claims.positions,
    pinnedAt: upTo(periodMs, claims.pinnedAt),
    freshAsOf: upTo(periodMs, claims.freshAsOf),
  });
}

/** Whether a token with these claims looks rounded. One of 15,000 others does too. */
export function isRounded({ issuedAt }: TokenClaims, ttlMs: number): boolean {
  return issuedAt % periodOf(ttlMs) === 0;
}

/** Whether no response can bring a rounded token with these claims any more, and `whole` requires all that it does. */
export function isContained(claims: TokenClaims, whole: TokenClaims | undefined): boolean {
  if (whole === undefined || claims.issuedAt >= Date.now()) return false;
  if (claims.pinnedAt > whole.pinnedAt || claims.freshAsOf > whole.freshAsOf) return false;
  return claims.positions.every((position) => whole.positions.some((one) => requiresAsMuch(one, position)));
}

/** One of each history, in an order that does not depend on which shard was written to first. */
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
