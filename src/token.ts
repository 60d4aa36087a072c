/** What a session requires, as the short text that travels with the user. */
import type { Position } from "./position.js";

/** What a token says. Times are milliseconds since the epoch. */
export interface Claims {
  /** When the newest of the positions was taken. */
  readonly issuedAt: number;
  /** Every one of them must be covered, the latest last. Usually there is one, or two around a failover. */
  readonly positions: readonly Position[];
  /** When a write was made whose position could not be learnt; 0 when there was none. */
  readonly pinnedAt: number;
  /** A replica must have all writes that the primary had then, of all users; 0 when nothing asks for that. */
  readonly freshAsOf: number;
}

const version = 2;
const headerBytes = 2;
const replidBytes = 8;
/** Of a number below 2^53, seven bits to the byte. */
const maxNumberBytes = 8;
/** A token of so many positions stays below 1100 bytes, and encrypted below 1500 characters: a cookie may have 4096. */
const maxPositions = 64;
const maxBytes = headerBytes + 3 * maxNumberBytes + maxPositions * (replidBytes + maxNumberBytes);
const maxLength = Math.ceil((maxBytes * 4) / 3);
/** The lowest bits of an offset share their byte with the mark of what was only read. */
const lowBits = 64;

/**
 * Base64url of the version, the number of positions, three times, and for each position 8 bytes of replication id and its
 * offset. Numbers are varints: seven bits to the byte, lowest first.
 *
 * Of more positions than 64 the oldest become a pin, which requires more than they do.
 */
export function encodeToken(claims: Claims): string {
  const { issuedAt, freshAsOf } = claims;
  const positions = claims.positions.slice(-maxPositions);
  const pinnedAt = positions.length < claims.positions.length ? issuedAt : claims.pinnedAt;
  const bytes = Buffer.alloc(
    headerBytes + 3 * maxNumberBytes + positions.length * (replidBytes + maxNumberBytes),
  );
  bytes[0] = version;
  bytes[1] = positions.length;
  let at = headerBytes;
  for (const time of [issuedAt, pinnedAt, freshAsOf]) at = putNumber(bytes, at, time);
  for (const { replid, offset, read } of positions) {
    bytes.write(replid, at, "hex");
    const rest = Math.floor(offset / lowBits);
    const low = (offset % lowBits) * 2 + (read ? 1 : 0);
    bytes[at + replidBytes] = low + (rest > 0 ? 128 : 0);
    at += replidBytes + 1;
    if (rest > 0) at = putNumber(bytes, at, rest);
  }
  return bytes.toString("base64url", 0, at);
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
export function decodeToken(token: unknown): Claims | undefined {
  if (typeof token !== "string" || token.length > maxLength || !/^[\w-]+$/.test(token)) return undefined;
  const bytes = Buffer.from(token, "base64url");
  const cursor = new Cursor(bytes, headerBytes);
  const count = bytes[1] ?? 0;
  if (bytes[0] !== version || count > maxPositions) return undefined;
  const issuedAt = cursor.number();
  const pinnedAt = cursor.number();
  const freshAsOf = cursor.number();
  const positions: Position[] = [];
  for (let i = 0; i < count; i++) positions.push(cursor.position());
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

  position(): Position {
    const replid = this.#bytes.toString("hex", this.#at, this.#at + replidBytes);
    this.#at += replidBytes;
    const first = this.#byte();
    const low = (first & 127) >> 1;
    const offset = this.#checked(first < 128 ? low : this.#more(low, lowBits));
    return first % 2 === 0 ? { replid, offset } : { replid, offset, read: true };
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
