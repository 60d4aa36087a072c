/** What a session requires, as the short text that travels with the user. */
import { type Position, positionAt } from "../replication/position.js";
import { WrittenKeys } from "../replication/written-keys.js";

/** What a token says. Times are milliseconds since the epoch. */
export interface TokenClaims {
  /** When the newest of the positions was taken. */
  readonly issuedAt: number;
  /** Every one of them must be covered, the latest last. Usually there is one, or two around a failover. */
  readonly positions: readonly Position[];
  /** When a write was made whose position could not be learnt; 0 when there was none. */
  readonly pinnedAt: number;
  /** A replica must have all writes that the primary had then, of all users; 0 when nothing asks for that. */
  readonly freshAsOf: number;
}

/** Of tokens that name no keys. */
const version = 2;
/** Of tokens that do. */
const keyedVersion = 3;
const headerBytes = 2;
const replidBytes = 8;
const hashBytes = 2;
/** Of a number below 2^53, seven bits to the byte. */
const maxNumberBytes = 8;
/** A token of so many positions stays below 1100 bytes, and encrypted below 1500 characters: a cookie may have 4096. */
const maxPositions = 64;
/** A token of more positions names no keys, so that it does not get longer than one without. */
const maxKeyedPositions = 16;
/** The most keys that a token names, whatever is asked for. */
export const maxTokenKeys = 32;
const maxBytes = headerBytes + 3 * maxNumberBytes + maxPositions * (replidBytes + maxNumberBytes);
const maxLength = Math.ceil((maxBytes * 4) / 3);
/** The lowest bits of an offset share their byte with the mark of what was only read. */
const lowBits = 64;

/**
 * Base64url of the version, the number of positions, three times, and for each position 8 bytes of replication id and its
 * offset. Numbers are varints: seven bits to the byte, lowest first. In a token that names keys each offset is followed by 0
 * when the keys are not known, else by 1 more than the number of keys, by how far the floor is below the offset plus 1, or
 * 0 for no floor, and for each key by 2 bytes of hash and how far its write is below the offset.
 *
 * Of more positions than 64 the oldest become a pin, which requires more than they do. Of more keys than `maxKeys` those
 * of the oldest writes are left out, and all earlier writes with them.
 */
export function encodeToken(claims: TokenClaims, maxKeys = maxTokenKeys): string {
  const { issuedAt, freshAsOf } = claims;
  const positions = claims.positions.slice(-maxPositions);
  const pinnedAt = positions.length < claims.positions.length ? issuedAt : claims.pinnedAt;
  const isKeyed = positions.length <= maxKeyedPositions && positions.some(({ keys }) => keys !== undefined);
  const bytes = Buffer.allocUnsafe(maxBytes);
  bytes[0] = isKeyed ? keyedVersion : version;
  bytes[1] = positions.length;
  let at = headerBytes;
  for (const time of [issuedAt, pinnedAt, freshAsOf]) at = putNumber(bytes, at, time);
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

/** The same positions, with `maxKeys` keys of all together; those that are the latest in the list come first. */
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

/** Writes the keys of a position at `at`; where the next one goes. */
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
 * So many texts of one request are read: as many as a browser keeps cookies for one site, and more than fit into the headers
 * that Node accepts.
 */
export const maxTexts = 180;

/** Stands among the texts of a request for tokens that its client held but could not send. */
export const unsent = "*";

/** No app server issues it, because it is from the end of time. */
const standIn = encodeToken({
  issuedAt: Number.MAX_SAFE_INTEGER,
  positions: [],
  pinnedAt: Number.MAX_SAFE_INTEGER,
  freshAsOf: 0,
});

/**
 * A token that says only that something was written: its session reads from the primary. It stands in for tokens that cannot
 * be read. It is the same for everybody, because a client that sends such tokens must not get a turn for each of them.
 */
export function unknownWrite(): string {
  return standIn;
}

/** Reads a token; undefined for anything that is not one of this version, because a bad token counts as absent. */
export function decodeToken(token: unknown): TokenClaims | undefined {
  if (typeof token !== "string" || token.length > maxLength || !/^[\w-]+$/.test(token)) return undefined;
  const bytes = Buffer.from(token, "base64url");
  const cursor = new Cursor(bytes, headerBytes);
  const count = bytes[1] ?? 0;
  const isKeyed = bytes[0] === keyedVersion;
  if (bytes[0] !== version && !isKeyed) return undefined;
  if (count > (isKeyed ? maxKeyedPositions : maxPositions)) return undefined;
  const issuedAt = cursor.number();
  const pinnedAt = cursor.number();
  const freshAsOf = cursor.number();
  const positions: Position[] = [];
  for (let i = 0; i < count; i++) positions.push(cursor.position(isKeyed));
  const saysNothing = count === 0 && pinnedAt === 0 && freshAsOf === 0;
  return saysNothing || !cursor.isAtEnd ? undefined : { issuedAt, pinnedAt, freshAsOf, positions };
}

/** Writes `number` as a varint at `at`; where the next one goes. */
function putNumber(bytes: Buffer, at: number, number: number): number {
  let [next, rest] = [at, number];
  for (; rest >= 128; next++) {
    bytes[next] = (rest % 128) + 128;
    rest = Math.floor(rest / 128);
  }
  bytes[next] = rest;
  return next + 1;
}

/** Reads bytes one after the other. */
class Cursor {
  readonly #bytes: Buffer;
  #at: number;
  #isSafe = true;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** Whether all bytes were read and no more, and every number was a safe one. */
  get isAtEnd(): boolean {
    return this.#isSafe && this.#at === this.#bytes.length;
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

  /** The keys of the writes up to `offset`; undefined when they are not known. */
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

  /** `low`, and the varint from here on times `scale`. */
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
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  #checked(number: number): number {
    if (!Number.isSafeInteger(number)) this.#isSafe = false;
    return number;
  }
}
