/** A short hash of a key, by which tokens name the keys that were written. */

/** FNV-1a over the bytes of `key` in UTF-8, folded to 16 bits. */
export function hashOf(key: string | Buffer): number {
  let hash = 0x811c9dc5;
  if (typeof key === "string") {
    for (let i = 0; i < key.length; i += 1) {
      const code = key.charCodeAt(i);
      if (code > 127) return hashOf(Buffer.from(key));
      hash = Math.imul(hash ^ code, 0x01000193);
    }
  } else for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash >>> 16) ^ hash) & 0xffff;
}
