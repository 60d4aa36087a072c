/** The token that a response brings, compared with the tokens that its request carried. */

import type { Seal } from "../session/seal.js";
import type { Session } from "../session/session.js";
import { decodeToken, type TokenClaims } from "../session/token.js";
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

/** The token of a session. It is encrypted if a `seal` is given. */
export class ResponseToken implements OutgoingToken {
  readonly ttlMs: number;
  readonly #source: CarriedTokens;
  readonly #seal: Seal | undefined;
  #claims: ReadonlyMap<string, TokenClaims> | undefined;

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
    if (opened === undefined) return false;
    for (const [text, { usesOldSecret }] of opened) {
      const claims = usesOldSecret ? this.#carriedClaims.get(text) : undefined;
      if (claims !== undefined && !this.#isExpired(claims)) return true;
    }
    return false;
  }

  text(): string {
    return this.#encrypted(this.#source.session.keyedToken());
  }

  rounded(level: number): string {
    return this.#encrypted(roundedToken(this.#source.session.keyedToken(), level, this.ttlMs));
  }

  histories(): string {
    const positions = decodeToken(this.#source.session.keyedToken())?.positions ?? [];
    return [...new Set(positions.map(({ replid }) => replid))].sort().join();
  }

  inForce(): ReadonlySet<string> {
    return this.#textsOf((claims) => !this.#isExpired(claims));
  }

  contained(): ReadonlySet<string> {
    const whole = decodeToken(this.#source.session.keyedToken());
    return this.#textsOf(
      (claims) => this.#isExpired(claims) || !isRounded(claims, this.ttlMs) || isContained(claims, whole),
    );
  }

  #encrypted(token: string): string {
    return token === "" || this.#seal === undefined ? token : this.#seal.seal(token);
  }

  #textsOf(isIncluded: (claims: TokenClaims) => boolean): Set<string> {
    const texts = new Set<string>();
    for (const [text, claims] of this.#carriedClaims) if (isIncluded(claims)) texts.add(text);
    return texts;
  }

  /** The claims of the valid texts of the request. */
  get #carriedClaims(): ReadonlyMap<string, TokenClaims> {
    if (this.#claims !== undefined) return this.#claims;
    // keyedToken() makes the session decrypt the texts, in case it has not needed them yet.
    this.#source.session.keyedToken();
    const all = new Map<string, TokenClaims>();
    for (const [text, { token }] of this.#source.opened ?? []) {
      const claims = decodeToken(token);
      if (claims !== undefined) all.set(text, claims);
    }
    this.#claims = all;
    return all;
  }

  #isExpired({ issuedAt }: TokenClaims): boolean {
    return Date.now() - issuedAt > this.ttlMs;
  }
}
