/** What a session requires, as the short text that travels with the user. */
import type { Position } from "./position.js";

/** What a token says. Times are milliseconds since the epoch. */
export interface Claims {
  /** When the newest of the positions was taken. */
  readonly issuedAt: number;
  /** Every one of them must be covered; usually one, two around a failover. */
  readonly positions: readonly Position[];
  /** When a write was made whose position could not be learnt; 0 when there was none. */
  readonly pinnedAt: number;
  /** All that the primary had then has to be there, whoever wrote it; 0 when nothing asks for that. */
  readonly freshAsOf: number;
}

const version = 1;
const headerBytes = 1 + 6;
const entryBytes = 8 + 7;
const offsetAt = 8;
const lowAt = 11;
const twoTo32 = 2 ** 32;
/** Marks the offset of what was only read; offsets themselves are smaller. */
const readBit = 2 ** 23;
const maxPositions = 15;
const maxEntries = maxPositions + 2;
const maxLength = Math.ceil(((headerBytes + maxEntries * entryBytes) * 4) / 3);

/** These stand where a replication id would; Redis itself writes all zeros for "no history". */
const pinEntry = "0000000000000000";
const freshEntry = "0000000000000001";

/**
 * Base64url of the version, the time of issue, and 8 bytes of replication id with 7 of offset for each position.
 * A pin is an entry of its own, and so is a moment. More positions than fit become a pin, which requires more than all
 * of them.
 */
export function encodeToken(claims: Claims): string {
  const { freshAsOf } = claims;
  const tooMany = claims.positions.length > maxPositions;
  const entries = tooMany ? [] : [...claims.positions];
  const pinnedAt = tooMany ? claims.issuedAt : claims.pinnedAt;
  if (pinnedAt > 0) entries.push({ replid: pinEntry, offset: pinnedAt });
  if (freshAsOf > 0) entries.push({ replid: freshEntry, offset: freshAsOf });
  const bytes = Buffer.alloc(headerBytes + entries.length * entryBytes);
  bytes.writeUInt8(version, 0);
  bytes.writeUIntBE(claims.issuedAt, 1, 6);
  let at = headerBytes;
  for (const { replid, offset, read } of entries) {
    bytes.write(replid, at, "hex");
    bytes.writeUIntBE(Math.floor(offset / twoTo32) + (read ? readBit : 0), at + offsetAt, lowAt - offsetAt);
    bytes.writeUInt32BE(offset % twoTo32, at + lowAt);
    at += entryBytes;
  }
  return bytes.toString("base64url");
}

/** Stands among the texts of a request for tokens that its client held but could not send. */
export const unsent = "*";

/** A token that says only that something was written: its session reads from the primary. */
export function unknownWrite(): string {
  const now = Date.now();
  return encodeToken({ issuedAt: now, positions: [], pinnedAt: now, freshAsOf: 0 });
}

/** Reads a token; undefined for anything that is not one of this version, because a bad token counts as absent. */
export function decodeToken(token: unknown): Claims | undefined {
  if (typeof token !== "string" || token.length > maxLength || !/^[\w-]+$/.test(token)) return undefined;
  const bytes = Buffer.from(token, "base64url");
  const body = bytes.length - headerBytes;
  if (body <= 0 || body % entryBytes !== 0 || bytes.readUInt8(0) !== version) return undefined;
  const positions: Position[] = [];
  let pinnedAt = 0;
  let freshAsOf = 0;
  for (let at = headerBytes; at < bytes.length; at += entryBytes) {
    const replid = bytes.toString("hex", at, at + offsetAt);
    const high = bytes.readUIntBE(at + offsetAt, lowAt - offsetAt);
    const offset = (high % readBit) * twoTo32 + bytes.readUInt32BE(at + lowAt);
    if (!Number.isSafeInteger(offset)) return undefined;
    if (replid === pinEntry) pinnedAt = Math.max(pinnedAt, offset);
    else if (replid === freshEntry) freshAsOf = Math.max(freshAsOf, offset);
    else positions.push(high < readBit ? { replid, offset } : { replid, offset, read: true });
  }
  return { issuedAt: bytes.readUIntBE(1, 6), pinnedAt, freshAsOf, positions };
}
