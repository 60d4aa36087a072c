/** Encrypts and decrypts with AES-256-CTR faster than a cipher object for each text, with the same results. */
import { type Cipher, createCipheriv } from "node:crypto";

const blockBytes = 16;
/** Texts up to this length need no new buffer. */
const usualBytes = 2048;

/**
 * AES-256 in counter mode with one key, as NIST SP 800-38A defines it: the texts are XORed with the encrypted values of a counter
 * that starts at the IV. A cipher object in counter mode works for one IV only, and to make one takes longer than to encrypt a
 * token. So one cipher object encrypts the counters of all texts. It encrypts block by block (ECB), so no text depends on another.
 */
export class CounterMode {
  readonly #cipher: Cipher;
  readonly #counters = Buffer.alloc(usualBytes);

  constructor(key: Uint8Array) {
    this.#cipher = createCipheriv("aes-256-ecb", key, null).setAutoPadding(false);
  }

  /**
   * Encrypts or decrypts `bytes` in place, from the index `from` to `to`. The IV is the first 16 bytes of `iv`. Use each IV for one
   * text only.
   */
  apply(bytes: Uint8Array, iv: Uint8Array, from = 0, to = bytes.length): void {
    const length = to - from;
    if (length === 0) return;
    const stream = this.#cipher.update(this.#countersFrom(iv, Math.ceil(length / blockBytes)));
    for (let i = 0; i < length; i += 1) bytes[from + i] = (bytes[from + i] ?? 0) ^ (stream[i] ?? 0);
  }

  /** `count` values of the counter. Each is a number of 128 bits, the highest byte first, and the highest value is followed by 0. */
  #countersFrom(iv: Uint8Array, count: number): Uint8Array {
    const length = count * blockBytes;
    const counters = length > usualBytes ? Buffer.alloc(length) : this.#counters;
    for (let i = 0; i < blockBytes; i += 1) counters[i] = iv[i] ?? 0;
    for (let at = blockBytes; at < length; at += blockBytes) {
      let carry = 1;
      for (let i = at + blockBytes - 1; i >= at; i -= 1) {
        const sum = (counters[i - blockBytes] ?? 0) + carry;
        counters[i] = sum & 255;
        carry = sum >> 8;
      }
    }
    return counters.subarray(0, length);
  }
}
