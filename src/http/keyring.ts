/** The encryption keys for the tokens of clients. The key of the newest secret encrypts, and the keys of all secrets decrypt. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { InvalidOptionError } from "../errors/errors.js";
import { kindOf } from "../errors/value-kind.js";

const ivBytes = 16;
const keyBytes = 32;
const minSecretLength = 16;
const maxAudienceLength = 100;
const maxTextLength = 1536;
/** The encrypted text of a token that is not empty has at least this many bytes. */
const minBytes = ivBytes + 5;
const cipher = "aes-256-ctr";
/** An input to the derivation of every encryption key, so that each key serves this purpose only. */
const purpose = "tidemark consistency token, version 1";

/** A decrypted token. `usesOldSecret` is true if the token was encrypted with an older secret, which will be removed some day. */
export interface OpenedToken {
  readonly token: string;
  readonly usesOldSecret: boolean;
}

/** The keys that are derived from one secret for one audience. */
interface Keys {
  readonly mac: Buffer;
  readonly encryption: Buffer;
}

/**
 * Encrypts tokens, so that clients cannot read, forge or change them. The construction is SIV (synthetic IV): the HMAC of the
 * token both authenticates the token and is the IV of the cipher. So a token needs no random number, and equal tokens give equal
 * texts. The keys are derived from the secret for this purpose and audience only.
 *
 * To rotate the secret, put the new one first. The first secret encrypts new tokens, and all secrets decrypt.
 */
export class Keyring {
  readonly #keys: readonly Keys[];

  /** Throws an {@link InvalidOptionError} for a missing secret, a secret below 16 characters, or an invalid audience. */
  constructor(secret: string | readonly string[], audience?: string) {
    const secrets: readonly unknown[] = typeof secret === "string" ? [secret] : secret;
    if (!Array.isArray(secrets) || secrets.length === 0) {
      const remedy = "Pass a string, or a list of strings, newest first";
      throw new InvalidOptionError("secret", secret, remedy, problemOf(secret));
    }
    checkAudience(audience);
    this.#keys = secrets.map((one: unknown) => {
      if (typeof one === "string" && one.length >= minSecretLength) return derive(one, audience ?? "");
      const remedy = `Pass at least ${minSecretLength} characters`;
      throw new InvalidOptionError("secret", one, remedy, problemOf(one));
    });
  }

  /** Encrypts the token with the newest secret. Returns base64url. */
  seal(token: string): string {
    const [keys] = this.#keys;
    if (keys === undefined) return "";
    const bytes = Buffer.from(token, "base64url");
    const iv = syntheticIv(bytes, keys);
    return Buffer.concat([iv, createCipheriv(cipher, keys.encryption, iv).update(bytes)]).toString(
      "base64url",
    );
  }

  /** Whether another keyring may have encrypted the text. */
  static isLikely(text: string): boolean {
    const bytes = Buffer.from(text, "base64url");
    return bytes.length >= minBytes && bytes.toString("base64url") === text;
  }

  /** Decrypts a text. Undefined for a text that this keyring did not encrypt, because input from outside is never an error. */
  open(text: unknown): OpenedToken | undefined {
    if (typeof text !== "string" || text.length > maxTextLength) return undefined;
    const bytes = Buffer.from(text, "base64url");
    // Some bytes have several spellings in base64url. Another spelling would be taken for another token, so only one is accepted.
    if (bytes.length <= ivBytes || bytes.toString("base64url") !== text) return undefined;
    const iv = bytes.subarray(0, ivBytes);
    const encrypted = bytes.subarray(ivBytes);
    for (const keys of this.#keys) {
      const token = createDecipheriv(cipher, keys.encryption, iv).update(encrypted);
      if (timingSafeEqual(iv, syntheticIv(token, keys)))
        return { token: token.toString("base64url"), usesOldSecret: keys !== this.#keys[0] };
    }
    return undefined;
  }
}

/** Describes an invalid secret. A number is not shown, because it could be a secret. */
function problemOf(secret: unknown): string {
  if (typeof secret === "string")
    return `got a string of ${secret.length} ${secret.length === 1 ? "character" : "characters"}`;
  return `got ${typeof secret === "number" ? "a number" : kindOf(secret)}`;
}

function derive(secret: string, audience: string): Keys {
  const bytes = Buffer.from(hkdfSync("sha256", secret, "", `${purpose}\0${audience}`, 2 * keyBytes));
  return { mac: bytes.subarray(0, keyBytes), encryption: bytes.subarray(keyBytes) };
}

function syntheticIv(token: Buffer, { mac }: Keys): Buffer {
  return createHmac("sha256", mac).update(token).digest().subarray(0, ivBytes);
}

function checkAudience(audience: unknown): void {
  if (audience === undefined) return;
  if (typeof audience === "string" && audience !== "" && audience.length <= maxAudienceLength) return;
  const remedy = `Pass a name of 1 to ${maxAudienceLength} characters, the same in every process that shares tokens`;
  throw new InvalidOptionError("audience", audience, remedy);
}
