/** The slot of the cluster that a key falls into, and keys that fall into a slot. */

export const SLOTS = 16_384;

/** CRC16 of the key, or of what stands between its first braces, as the cluster specification has it. */
export function slotOf(key: string): number {
  const hashed = /^[^{]*\{([^}]+)\}/.exec(key)?.[1] ?? key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    crc &= 0xffff;
  }
  return crc % SLOTS;
}

/** A tag such that all keys with it in braces fall into the slot. */
export function tagOf(slot: number): string {
  for (let i = 0; ; i += 1) if (slotOf(`t${i}`) === slot) return `t${i}`;
}
