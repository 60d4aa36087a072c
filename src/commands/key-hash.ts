/** Hashes keys to 16 bits, because tokens must not grow with the length of key names. */

const OFFSET_BASIS = 0x811c9dc5 | 0;
const PRIME = 0x01000193;
/** If a key is longer than twice this number, only this many bytes at each end are hashed. So a longer key takes no more time. */
const END_BYTES = 512;

/**
 * A number from 0 to 65535. The same key always gives the same number, and so do a string and a Buffer of its UTF-8 bytes. Two
 * different keys collide about once in 65,536 times. Keys longer than 1,024 bytes that differ only in the middle always collide.
 * Hashing takes one or two nanoseconds a byte, and at most some microseconds. If a string is longer than 1,024 characters,
 * measuring its length in bytes takes additional time. Tokens carry these numbers, so they must never change.
 */
export function hashOf(key: string | Buffer): number {
  if (typeof key !== "string") return hashOfBytes(key);
  if (key.length > 2 * END_BYTES) return hashOfLongText(key);
  let hash = OFFSET_BASIS;
  for (let i = 0; i < key.length; i += 1) {
    const code = key.charCodeAt(i);
    if (code > 0x7f) return hashOfBytes(Buffer.from(key));
    hash = Math.imul(hash ^ code, PRIME);
  }
  return folded(hash, key.length);
}

function hashOfBytes(bytes: Buffer): number {
  const { length } = bytes;
  if (length <= 2 * END_BYTES) return folded(hashed(OFFSET_BASIS, bytes), length);
  return hashOfEnds(bytes.subarray(0, END_BYTES), bytes.subarray(-END_BYTES), length);
}

/**
 * Hashes the bytes at both ends of a long string. Converts one character more than necessary at each end, because the cut may
 * split a surrogate pair.
 */
function hashOfLongText(text: string): number {
  const head = Buffer.from(text.slice(0, END_BYTES + 1)).subarray(0, END_BYTES);
  const tail = Buffer.from(text.slice(-END_BYTES - 1)).subarray(-END_BYTES);
  return hashOfEnds(head, tail, Buffer.byteLength(text));
}

function hashOfEnds(head: Buffer, tail: Buffer, length: number): number {
  return folded(hashed(hashed(OFFSET_BASIS, head), tail), length);
}

/** FNV-1a. */
function hashed(start: number, bytes: Buffer): number {
  let hash = start;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, PRIME);
  return hash;
}

/**
 * FNV-1a alone barely carries the last bytes into the high bits. The final steps of MurmurHash3 spread these last bytes over all
 * bits.
 */
function folded(hash: number, length: number): number {
  let mixed = hash ^ length;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 16;
}
