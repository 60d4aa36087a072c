/** The keys that encrypt tokens handed to clients: the newest encrypts, all decrypt. */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { InvalidOptionError } from "../errors/errors.js";
import { kindOf } from "../errors/value-kind.js";

const ivBytes = 16;
const keyBytes = 32;
const minSecretLength = 16;
const maxAudienceLength = 100;
const maxSealedLength = 1536;
/** No token that says something takes less. */
const minSealedBytes = ivBytes + 5;
const cipher = "aes-256-ctr";
/** Keys for this purpose are of no use for another one, and the keys of another purpose are of no use here. */
const purpose = "tidemark consistency token, version 1";

/** A token that was encrypted, and whether with an older secret, which will not be accepted for ever. */
export interface OpenedToken {
  readonly token: string;
  readonly isOld: boolean;
}

/** What one secret gives for one audience. */
interface Keys {
  readonly mac: Buffer;
  readonly encryption: Buffer;
}

/**
 * Encrypts tokens, so that nobody outside can read, make or change one. The construction is SIV (synthetic IV): the HMAC
 * of the token is both its authentication and the IV of the cipher. A token therefore needs no random number, and equal
 * tokens give equal texts. The keys are derived from the secret for this purpose and audience alone.
 *
 * To rotate, put the new secret in front. It encrypts from then on, and the older ones still decrypt.
 */
export class Keyring {
  readonly #keys: readonly Keys[];

  /** Throws an {@link InvalidOptionError} for a missing secret, one below 16 characters, or an audience that is no name. */
  constructor(secret: string | readonly string[], audience?: string) {
    const secrets: readonly unknown[] = typeof secret === "string" ? [secret] : secret;
    if (!Array.isArray(secrets) || secrets.length === 0) {
      const remedy = "give a string, or a list of strings, newest first";
      throw new InvalidOptionError("secret", secret, remedy, problemOf(secret));
    }
    checkAudience(audience);
    this.#keys = secrets.map((one: unknown) => {
      if (typeof one === "string" && one.length >= minSecretLength) return derive(one, audience ?? "");
      const remedy = `give at least ${minSecretLength} characters`;
      throw new InvalidOptionError("secret", one, remedy, problemOf(one));
    });
  }

  /** The token encrypted with the newest secret, in base64url. */
  seal(token: string): string {
    const [keys] = this.#keys;
    if (keys === undefined) return "";
    const bytes = Buffer.from(token, "base64url");
    const iv = syntheticIv(bytes, keys);
    return Buffer.concat([iv, createCipheriv(cipher, keys.encryption, iv).update(bytes)]).toString(
      "base64url",
    );
  }

  /** Whether a text that this keyring did not encrypt may have been encrypted by another one. */
  static isLikely(sealed: string): boolean {
    const bytes = Buffer.from(sealed, "base64url");
    return bytes.length >= minSealedBytes && bytes.toString("base64url") === sealed;
  }

  /** The token inside. Undefined for any text that this keyring did not encrypt, because outside input is never an error. */
  open(sealed: unknown): OpenedToken | undefined {
    if (typeof sealed !== "string" || sealed.length > maxSealedLength) return undefined;
    const bytes = Buffer.from(sealed, "base64url");
    // A second spelling of one token would count as a second token.
    if (bytes.length <= ivBytes || bytes.toString("base64url") !== sealed) return undefined;
    const iv = bytes.subarray(0, ivBytes);
    const encrypted = bytes.subarray(ivBytes);
    for (const keys of this.#keys) {
      const token = createDecipheriv(cipher, keys.encryption, iv).update(encrypted);
      if (timingSafeEqual(iv, syntheticIv(token, keys)))
        return { token: token.toString("base64url"), isOld: keys !== this.#keys[0] };
    }
    return undefined;
  }
}

/** What came in place of a secret. A number could be one, so it is not shown. */
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
  const remedy = `give a name of 1 to ${maxAudienceLength} characters, the same in every process that shares tokens`;
  throw new InvalidOptionError("audience", audience, remedy);
}
