/** Encodes the requirement of a session as the short token that travels with the user. */
import { type Position, positionAt } from "../replication/position.js";
import { WrittenKeys } from "../replication/written-keys.js";
import { RecentTexts } from "./recent-texts.js";

/** The content of a token. Times are milliseconds since the epoch. */
export interface TokenClaims {
  /** When the newest of the positions was taken. */
  readonly issuedAt: number;
  /** A replica must cover every one of them. The latest is last. Usually there is one position, or two around a failover. */
  readonly positions: readonly Position[];
  /** When a write of unknown position was made. 0 when there was none. */
  readonly pinnedAt: number;
  /** A replica must have all users' writes that the primary had at this time. 0 for no such time. */
  readonly freshAsOf: number;
}

/** Marks tokens that name no keys. */
const version = 2;
/** Marks tokens that name keys. */
const keyedVersion = 3;
const headerBytes = 2;
const replidBytes = 8;
const hashBytes = 2;
/** A number below 2^53 takes at most this many bytes, with seven bits in each byte. */
const maxNumberBytes = 8;
/**
 * A token with this many positions is shorter than 1100 bytes, and shorter than 1500 characters once encrypted. A cookie may have
 * 4096.
 */
const maxPositions = 64;
/** A token with more positions names no keys, so that it is no longer than one without keys. */
const maxKeyedPositions = 16;
/** The most keys that a token names, whatever `keysPerToken` asks for. */
export const maxTokenKeys = 32;
const maxBytes = headerBytes + 3 * maxNumberBytes + maxPositions * (replidBytes + maxNumberBytes);
const maxLength = Math.ceil((maxBytes * 4) / 3);
/** The lowest bits of an offset share a byte with the mark for positions that were only read. */
const lowBits = 64;
const base64url = /^[\w-]+$/;
/** Holds the bytes of one token during one call, because a new buffer would cost more than the rest of the call. */
const scratch = Buffer.alloc(maxLength);

/**
 * Encodes in base64url: the version, the number of positions, three times, then the positions. Each position has 8 bytes of
 * replication id and an offset. Numbers are varints with seven bits in each byte, lowest bits first.
 *
 * If the token names keys, each offset is followed by 0 when its keys are unknown. Otherwise these follow: the number of keys
 * plus 1, then the distance from the offset down to the floor plus 1 (or 0 for no floor), then the keys. Each key has 2 bytes of
 * hash and the distance from the offset down to its write.
 *
 * If there are more than 64 positions, the oldest become a pin, which requires more than they do. If there are more than
 * `maxKeys` keys, the keys of the oldest writes are left out, together with all earlier writes.
 */
export function encodeToken(claims: TokenClaims, maxKeys = maxTokenKeys): string {
  const { issuedAt, freshAsOf } = claims;
  const isCut = claims.positions.length > maxPositions;
  const positions = isCut ? claims.positions.slice(-maxPositions) : claims.positions;
  const isKeyed = positions.length <= maxKeyedPositions && positions.some(({ keys }) => keys !== undefined);
  const bytes = scratch;
  bytes[0] = isKeyed ? keyedVersion : version;
  bytes[1] = positions.length;
  let at = putNumber(bytes, headerBytes, issuedAt);
  at = putNumber(bytes, at, isCut ? issuedAt : claims.pinnedAt);
  at = putNumber(bytes, at, freshAsOf);
  for (const position of isKeyed ? withinLimit(positions, Math.min(maxKeys, maxTokenKeys)) : positions) {
    const { replid, offset, read } = position;
    bytes.write(replid, at, "hex");
    const rest = Math.floor(offset / lowBits);
    const low = (offset % lowBits) * 2 + (read ? 1 : 0);
    bytes[at + replidBytes] = low + (rest > 0 ? 128 : 0);
    at += replidBytes + 1;
    if (rest > 0) at = putNumber(bytes, at, rest);
    if (isKeyed) at = putKeys(bytes, at, position);
  }
  return bytes.toString("base64url", 0, at);
}

/** The same positions, with at most `maxKeys` keys in total. Positions later in the list keep their keys first. */
function withinLimit(positions: readonly Position[], maxKeys: number): readonly Position[] {
  let left = maxKeys;
  return positions
    .toReversed()
    .map(({ replid, offset, read, keys }) => {
      const kept = keys?.limited(left);
      left -= kept?.hashes.length ?? 0;
      return positionAt(replid, offset, read, kept);
    })
    .toReversed();
}

/** Writes the keys of a position at `at`. Returns the index of the next byte. */
function putKeys(bytes: Buffer, at: number, { keys, offset }: Position): number {
  if (keys === undefined) return putNumber(bytes, at, 0);
  let next = putNumber(bytes, at, keys.hashes.length + 1);
  next = putNumber(bytes, next, keys.floor === 0 ? 0 : offset - keys.floor + 1);
  for (const [i, hash] of keys.hashes.entries()) {
    bytes.writeUInt16LE(hash, next);
    next = putNumber(bytes, next + hashBytes, offset - (keys.offsets[i] ?? 0));
  }
  return next;
}

/**
 * The most tokens that one request may carry. Browsers keep this many cookies for one site, and Node's header limit allows fewer.
 */
export const maxTexts = 180;

/** Stands in a request for tokens that the client had but could not send. */
export const unsent = "*";

/** No app server issues this token, because its times are the latest possible. */
const standIn = encodeToken({
  issuedAt: Number.MAX_SAFE_INTEGER,
  positions: [],
  pinnedAt: Number.MAX_SAFE_INTEGER,
  freshAsOf: 0,
});

/**
 * A token that says only that a write happened, so its session reads from the primary. This token replaces tokens that cannot be
 * read. All users share it, because a client that sends many unreadable tokens must not get a turn for each of them.
 */
export function unknownWrite(): string {
  return standIn;
}

/** Decodes a token. Undefined for anything that is not a token of this version, because a bad token is ignored. */
export function decodeToken(token: unknown): TokenClaims | undefined {
  if (typeof token !== "string" || token.length > maxLength || !base64url.test(token)) return undefined;
  const bytes = scratch;
  const length = bytes.write(token, "base64url");
  const isKeyed = bytes[0] === keyedVersion;
  if (length < headerBytes || (bytes[0] !== version && !isKeyed)) return undefined;
  const count = bytes[1] ?? 0;
  if (count > (isKeyed ? maxKeyedPositions : maxPositions)) return undefined;
  const cursor = new Cursor(bytes, headerBytes, length);
  const issuedAt = cursor.number();
  const pinnedAt = cursor.number();
  const freshAsOf = cursor.number();
  const positions: Position[] = [];
  for (let i = 0; i < count; i++) positions.push(cursor.position(isKeyed));
  const saysNothing = count === 0 && pinnedAt === 0 && freshAsOf === 0;
  return saysNothing || !cursor.isAtEnd
    ? undefined
    : new DecodedClaims(issuedAt, positions, pinnedAt, freshAsOf);
}

const recent = new RecentTexts<TokenClaims>();

/** Does what {@link decodeToken} does, for a token that a client brings and may bring again. */
export function claimsOf(token: string): TokenClaims | undefined {
  const known = recent.get(token);
  if (known !== undefined) return known;
  const claims = decodeToken(token);
  if (claims !== undefined) recent.add(token, claims);
  return claims;
}

/** A class, because V8 may place literals among old objects, and requests refer to their claims. */
class DecodedClaims implements TokenClaims {
  readonly issuedAt: number;
  readonly positions: readonly Position[];
  readonly pinnedAt: number;
  readonly freshAsOf: number;

  constructor(issuedAt: number, positions: readonly Position[], pinnedAt: number, freshAsOf: number) {
    this.issuedAt = issuedAt;
    this.positions = positions;
    this.pinnedAt = pinnedAt;
    this.freshAsOf = freshAsOf;
  }
}

/** Writes `number` as a varint at `at`. Returns the index of the next byte. */
function putNumber(bytes: Buffer, at: number, number: number): number {
  let next = at;
  let rest = number;
  for (; rest >= 128; next++) {
    bytes[next] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  bytes[next] = rest;
  return next + 1;
}

/** Reads bytes in order. */
class Cursor {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;
  #isSafe = true;

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  /** Whether exactly all bytes were read and every number was a safe integer. */
  get isAtEnd(): boolean {
    return this.#isSafe && this.#at === this.#end;
  }

  number(): number {
    return this.#checked(this.#more(0, 1));
  }

  position(isKeyed: boolean): Position {
    const replid = this.#bytes.toString("hex", this.#at, this.#at + replidBytes);
    this.#at += replidBytes;
    const first = this.#byte();
    const low = (first & 127) >> 1;
    const offset = this.#checked(first < 128 ? low : this.#more(low, lowBits));
    const read = first % 2 === 0 ? undefined : true;
    return positionAt(replid, offset, read, isKeyed ? this.#keysUpTo(offset) : undefined);
  }

  /** The keys of the writes up to `offset`. Undefined when the keys are unknown. */
  #keysUpTo(offset: number): WrittenKeys | undefined {
    const count = this.number() - 1;
    if (count < 0) return undefined;
    if (count > maxTokenKeys) {
      this.#isSafe = false;
      return undefined;
    }
    const below = this.number();
    const floor = below === 0 ? 0 : this.#positive(offset - below + 1);
    let keys = new WrittenKeys(floor, [], []);
    for (let i = 0; i < count; i++) {
      const hash = this.#byte() + 256 * this.#byte();
      keys = keys.with([hash], this.#positive(offset - this.number()), maxTokenKeys);
    }
    return keys;
  }

  #positive(offset: number): number {
    if (offset <= 0) this.#isSafe = false;
    return offset;
  }

  /** `low`, plus the varint at the cursor times `scale`. */
  #more(low: number, scale: number): number {
    let number = low;
    let times = scale;
    for (let i = 0; i < maxNumberBytes; i++) {
      const byte = this.#byte();
      number += (byte & 127) * times;
      times *= 128;
      if (byte < 128) return number;
    }
    return Number.NaN;
  }

  #byte(): number {
    const byte = this.#at < this.#end ? (this.#bytes[this.#at] ?? 0) : 0;
    this.#at += 1;
    return byte;
  }

  #checked(number: number): number {
    if (!Number.isSafeInteger(number)) this.#isSafe = false;
    return number;
  }
}
