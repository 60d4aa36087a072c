/** The encryption keys for the tokens of clients. The key of the newest secret encrypts, and the keys of all secrets decrypt. */
import { hkdfSync, timingSafeEqual } from "node:crypto";
import { InvalidOptionError } from "../errors/errors.js";
import { kindOf } from "../errors/value-kind.js";
import { RecentTexts } from "../session/recent-texts.js";
import { CounterMode } from "./counter-mode.js";
import { HmacSha256 } from "./hmac.js";

const ivBytes = 16;
const keyBytes = 32;
const minSecretLength = 16;
const maxAudienceLength = 100;
const maxTextLength = 1536;
/** The encrypted text of a token that is not empty has at least this many bytes. */
const minBytes = ivBytes + 5;
const base64url = /^[\w-]+$/;
/** The bytes of the text that is encrypted or decrypted now. All keyrings share them, because new buffers take more time. */
const sealedBytes = Buffer.alloc(ivBytes + maxTextLength);
const sealedIv = sealedBytes.subarray(0, ivBytes);
/** The bytes of the token that is decrypted now, after its IV. */
const openedBytes = Buffer.alloc(ivBytes + maxTextLength);
const openedIv = openedBytes.subarray(0, ivBytes);
/** An input to the derivation of every encryption key, so that each key serves this purpose only. */
const purpose = "tidemark consistency token, version 1";

/** A decrypted token. A class, because V8 may place literals among old objects. */
export class OpenedToken {
  readonly token: string;
  /** Whether the token was encrypted with an older secret, which will be removed some day. */
  readonly usesOldSecret: boolean;

  constructor(token: string, usesOldSecret: boolean) {
    this.token = token;
    this.usesOldSecret = usesOldSecret;
  }
}

/**
 * Encrypts tokens, so that clients cannot read, forge or change them. The construction is SIV (synthetic IV): the HMAC of the
 * token both authenticates the token and is the IV of the cipher. So a token needs no random number, and equal tokens give equal
 * texts. The keys are derived from the secret for this purpose and audience only.
 *
 * To rotate the secret, put the new one first. The first secret encrypts new tokens, and all secrets decrypt.
 */
export class Keyring {
  readonly #keys: readonly SivKey[];
  readonly #recent = new RecentTexts<OpenedToken>();

  /** Throws an {@link InvalidOptionError} for a missing secret, a secret below 16 characters, or an invalid audience. */
  constructor(secret: string | readonly string[], audience?: string) {
    const secrets: readonly unknown[] = typeof secret === "string" ? [secret] : secret;
    if (!Array.isArray(secrets) || secrets.length === 0) {
      const remedy = "Pass a string, or a list of strings, newest first";
      throw new InvalidOptionError("secret", secret, remedy, problemOf(secret));
    }
    checkAudience(audience);
    this.#keys = secrets.map((one: unknown) => {
      if (typeof one === "string" && one.length >= minSecretLength) return keyFrom(one, audience ?? "");
      const remedy = `Pass at least ${minSecretLength} characters`;
      throw new InvalidOptionError("secret", one, remedy, problemOf(one));
    });
  }

  /** Encrypts the token with the newest secret. Returns base64url. */
  seal(token: string): string {
    return this.#keys[0]?.seal(token) ?? "";
  }

  /** Whether another keyring may have encrypted the text. */
  static isLikely(text: string): boolean {
    return isCanonical(text) && Math.floor((text.length * 3) / 4) >= minBytes;
  }

  /** Decrypts a text. Undefined for a text that this keyring did not encrypt, because input from outside is never an error. */
  open(text: unknown): OpenedToken | undefined {
    // Some bytes have several spellings in base64url. Another spelling would be taken for another token, so only one is accepted.
    if (typeof text !== "string" || text.length > maxTextLength) return undefined;
    const known = this.#recent.get(text);
    if (known !== undefined) return known;
    if (!isCanonical(text)) return undefined;
    const length = sealedBytes.write(text, "base64url");
    if (length <= ivBytes) return undefined;
    for (const key of this.#keys) {
      const token = key.open(length);
      if (token === undefined) continue;
      const opened = new OpenedToken(token, key !== this.#keys[0]);
      // A new string, because `text` may be a part of a header, and would keep the whole header alive.
      this.#recent.add(sealedBytes.toString("base64url", 0, length), opened);
      return opened;
    }
    return undefined;
  }
}

/** The keys that are derived from one secret for one audience. */
class SivKey {
  readonly #mac: HmacSha256;
  readonly #encryption: CounterMode;

  constructor(mac: Buffer, encryption: Buffer) {
    this.#mac = new HmacSha256(mac);
    this.#encryption = new CounterMode(encryption);
  }

  /** Returns the IV and the encrypted token. */
  seal(token: string): string {
    const usual = token.length <= maxTextLength;
    const bytes = usual ? sealedBytes : Buffer.alloc(ivBytes + token.length);
    const end = ivBytes + bytes.write(token, ivBytes, "base64url");
    bytes.write(this.#mac.digest(bytes, ivBytes, end), 0, ivBytes, "latin1");
    this.#encryption.apply(bytes, bytes, ivBytes, end);
    return bytes.toString("base64url", 0, end);
  }

  /** Returns the token in the first `length` of the {@link sealedBytes}. Undefined if this key did not encrypt it. */
  open(length: number): string | undefined {
    sealedBytes.copy(openedBytes, ivBytes, ivBytes, length);
    this.#encryption.apply(openedBytes, sealedBytes, ivBytes, length);
    openedBytes.write(this.#mac.digest(openedBytes, ivBytes, length), 0, ivBytes, "latin1");
    if (!timingSafeEqual(openedIv, sealedIv)) return undefined;
    return openedBytes.toString("base64url", ivBytes, length);
  }
}

/** Whether a text is the only spelling of its bytes in base64url: without other characters, and with unused bits of 0 at the end. */
function isCanonical(text: string): boolean {
  if (!base64url.test(text)) return false;
  const rest = text.length % 4;
  if (rest === 0) return true;
  return rest > 1 && (rest === 2 ? "AQgw" : "AEIMQUYcgkosw048").includes(text.charAt(text.length - 1));
}

/** Describes an invalid secret. A number is not shown, because it could be a secret. */
function problemOf(secret: unknown): string {
  if (typeof secret === "string")
    return `got a string of ${secret.length} ${secret.length === 1 ? "character" : "characters"}`;
  return `got ${typeof secret === "number" ? "a number" : kindOf(secret)}`;
}

function keyFrom(secret: string, audience: string): SivKey {
  const bytes = Buffer.from(hkdfSync("sha256", secret, "", `${purpose}\0${audience}`, 2 * keyBytes));
  return new SivKey(bytes.subarray(0, keyBytes), bytes.subarray(keyBytes));
}

function checkAudience(audience: unknown): void {
  if (audience === undefined) return;
  if (typeof audience === "string" && audience !== "" && audience.length <= maxAudienceLength) return;
  const remedy = `Pass a name of 1 to ${maxAudienceLength} characters, the same in every process that shares tokens`;
  throw new InvalidOptionError("audience", audience, remedy);
}
