/** The token that a response brings, compared with the tokens that its request carried. */

import type { Seal } from "../session/seal.js";
import type { Session } from "../session/session.js";
import { claimsOf, decodeToken, type TokenClaims } from "../session/token.js";
import type { OutgoingToken } from "./carriers/carrier.js";
import type { OpenedToken } from "./keyring.js";
import { isContained, isRounded, roundedToken } from "./rounded-token.js";

/** A session, and the tokens that its request carried. */
export interface CarriedTokens {
  readonly session: Session;
  /** See {@link OutgoingToken.arrivedAt}. */
  readonly arrivedAt: number;
  /** The decrypted tokens by their texts; undefined until the session needs them. */
  readonly opened: ReadonlyMap<string, OpenedToken> | undefined;
}

/** A text that the request carried, and what it claims. */
class CarriedClaims {
  readonly text: string;
  readonly claims: TokenClaims;
  readonly usesOldSecret: boolean;

  constructor(text: string, claims: TokenClaims, usesOldSecret: boolean) {
    this.text = text;
    this.claims = claims;
    this.usesOldSecret = usesOldSecret;
  }
}

/**
 * The token of a session, as one call of a carrier sees it. It is encrypted if a `seal` is given. Each text is encoded and decoded
 * once, when a carrier first needs it.
 */
export class ResponseToken implements OutgoingToken {
  readonly ttlMs: number;
  readonly #source: CarriedTokens;
  readonly #seal: Seal | undefined;
  /** The length of the text that the carrier got last. 0 if it got none. */
  given = 0;
  #whole: string | undefined;
  #wholeClaims: TokenClaims | undefined;
  #carried: readonly CarriedClaims[] | undefined;

  constructor(source: CarriedTokens, seal: Seal | undefined, ttlMs: number) {
    this.ttlMs = ttlMs;
    this.#source = source;
    this.#seal = seal;
  }

  get arrivedAt(): number {
    return this.#source.arrivedAt;
  }

  get changed(): boolean {
    return this.#source.session.tokenChanged;
  }

  get usesOldSecret(): boolean {
    const { opened } = this.#source;
    if (opened === undefined || !hasOldSecret(opened)) return false;
    return this.#carriedClaims.some(({ usesOldSecret, claims }) => usesOldSecret && !this.#isExpired(claims));
  }

  text(): string {
    return this.#encrypted(this.#token());
  }

  rounded(level: number): string {
    return this.#encrypted(roundedToken(this.#token(), level, this.ttlMs, this.#claims()));
  }

  histories(): string {
    const positions = this.#claims()?.positions ?? [];
    return [...new Set(positions.map(({ replid }) => replid))].sort().join();
  }

  inForce(): ReadonlySet<string> {
    const texts = new Set<string>();
    for (const { text, claims } of this.#carriedClaims) if (!this.#isExpired(claims)) texts.add(text);
    return texts;
  }

  contained(): ReadonlySet<string> {
    const whole = this.#claims();
    const texts = new Set<string>();
    for (const { text, claims } of this.#carriedClaims)
      if (this.#isExpired(claims) || !isRounded(claims, this.ttlMs) || isContained(claims, whole))
        texts.add(text);
    return texts;
  }

  /** Everything that the session requires, not encrypted. */
  #token(): string {
    this.#whole ??= this.#source.session.keyedToken();
    return this.#whole;
  }

  /** What {@link #token} claims. Undefined if the session requires nothing. */
  #claims(): TokenClaims | undefined {
    this.#wholeClaims ??= decodeToken(this.#token());
    return this.#wholeClaims;
  }

  #encrypted(token: string): string {
    const text = token === "" || this.#seal === undefined ? token : this.#seal.seal(token);
    this.given = text.length;
    return text;
  }

  /** The valid texts of the request. */
  get #carriedClaims(): readonly CarriedClaims[] {
    if (this.#carried !== undefined) return this.#carried;
    // The session decrypts the texts when it is first asked for its token.
    this.#token();
    const all: CarriedClaims[] = [];
    for (const [text, { token, usesOldSecret }] of this.#source.opened ?? []) {
      const claims = claimsOf(token);
      if (claims !== undefined) all.push(new CarriedClaims(text, claims, usesOldSecret));
    }
    this.#carried = all;
    return all;
  }

  #isExpired({ issuedAt }: TokenClaims): boolean {
    return Date.now() - issuedAt > this.ttlMs;
  }
}

function hasOldSecret(opened: ReadonlyMap<string, OpenedToken>): boolean {
  for (const { usesOldSecret } of opened.values()) if (usesOldSecret) return true;
  return false;
}
