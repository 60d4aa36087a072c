/** The keys that seal tokens handed to clients: the newest signs, all verify. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { InvalidOptionError } from "./errors.js";
import { kindOf } from "./kind.js";

const macBytes = 16;
const minSecretLength = 16;
const maxSealedLength = 1024;

/** What was sealed, and whether with an older secret, which will not be accepted for ever. */
export interface Opened {
  readonly token: string;
  readonly isOld: boolean;
}

/**
 * Seals tokens with HMAC-SHA-256 cut to 16 bytes, so that nobody outside can make or change one.
 * Rotate by putting the new secret in front: it signs from then on, the older ones still verify.
 */
export class Keyring {
  readonly #secrets: readonly string[];

  /** Throws an {@link InvalidOptionError} when there is no secret or one is shorter than 16 characters. */
  constructor(secret: string | readonly string[]) {
    const secrets: readonly unknown[] = typeof secret === "string" ? [secret] : secret;
    if (!Array.isArray(secrets) || secrets.length === 0) {
      const remedy = "give a string, or a list of strings, newest first";
      throw new InvalidOptionError("secret", secret, remedy, problemOf(secret));
    }
    for (const one of secrets) {
      if (typeof one === "string" && one.length >= minSecretLength) continue;
      throw new InvalidOptionError(
        "secret",
        one,
        `give at least ${minSecretLength} characters`,
        problemOf(one),
      );
    }
    this.#secrets = [...secrets];
  }

  /** The token followed by its signature, in base64url. */
  seal(token: string): string {
    const bytes = Buffer.from(token, "base64url");
    return Buffer.concat([bytes, mac(bytes, this.#secrets[0] ?? "")]).toString("base64url");
  }

  /** The token inside, or undefined for whatever this keyring did not seal: outside input is never an error. */
  open(sealed: unknown): Opened | undefined {
    if (typeof sealed !== "string" || sealed.length > maxSealedLength || !/^[\w-]+$/.test(sealed))
      return undefined;
    const bytes = Buffer.from(sealed, "base64url");
    if (bytes.length <= macBytes) return undefined;
    const body = bytes.subarray(0, -macBytes);
    const given = bytes.subarray(-macBytes);
    const sealedBy = this.#secrets.findIndex((secret) => timingSafeEqual(given, mac(body, secret)));
    return sealedBy < 0 ? undefined : { token: body.toString("base64url"), isOld: sealedBy > 0 };
  }
}

/** What came in place of a secret. A number could be one, so it is not shown. */
function problemOf(secret: unknown): string {
  if (typeof secret === "string") return `got a string of ${secret.length} characters`;
  return `got ${typeof secret === "number" ? "a number" : kindOf(secret)}`;
}

function mac(bytes: Buffer, secret: string): Buffer {
  return createHmac("sha256", secret).update(bytes).digest().subarray(0, macBytes);
}
