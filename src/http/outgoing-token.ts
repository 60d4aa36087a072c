/** The token of a session whose response is about to leave, with what becomes of those that its request brought. */

import type { Seal, Session } from "../session/session.js";
import { decodeToken, type TokenClaims } from "../session/token.js";
import type { OutgoingToken } from "./carriers/carrier.js";
import type { OpenedToken } from "./keyring.js";
import { isContained, isRounded, roundedToken } from "./rounded-token.js";

/** A session, and what its request brought. */
export interface TokenSource {
  readonly session: Session;
  /** See {@link OutgoingToken.arrivedAt}. */
  readonly arrivedAt: number;
  /** By the text it came in; undefined until the session needs it. */
  readonly opened: ReadonlyMap<string, OpenedToken> | undefined;
}

/** Unsealed without a seal. */
export class SessionToken implements OutgoingToken {
  readonly ttlMs: number;
  readonly #bearer: TokenSource;
  readonly #seal: Seal | undefined;
  #claims: ReadonlyMap<string, TokenClaims> | undefined;

  constructor(bearer: TokenSource, seal: Seal | undefined, ttlMs: number) {
    this.ttlMs = ttlMs;
    this.#bearer = bearer;
    this.#seal = seal;
  }

  get arrivedAt(): number {
    return this.#bearer.arrivedAt;
  }

  get changed(): boolean {
    return this.#bearer.session.tokenChanged;
  }

  get usesOldSecret(): boolean {
    const { opened } = this.#bearer;
    if (opened === undefined) return false;
    for (const [text, { isOld }] of opened) {
      const claims = isOld ? this.#brought.get(text) : undefined;
      if (claims !== undefined && !this.#isVoid(claims)) return true;
    }
    return false;
  }

  text(): string {
    return this.#sealed(this.#bearer.session.keyedToken());
  }

  rounded(level: number): string {
    return this.#sealed(roundedToken(this.#bearer.session.keyedToken(), level, this.ttlMs));
  }

  histories(): string {
    const positions = decodeToken(this.#bearer.session.keyedToken())?.positions ?? [];
    return [...new Set(positions.map(({ replid }) => replid))].sort().join();
  }

  inForce(): ReadonlySet<string> {
    return this.#textsOf((claims) => !this.#isVoid(claims));
  }

  contained(): ReadonlySet<string> {
    const whole = decodeToken(this.#bearer.session.keyedToken());
    return this.#textsOf(
      (claims) => this.#isVoid(claims) || !isRounded(claims, this.ttlMs) || isContained(claims, whole),
    );
  }

  #sealed(token: string): string {
    return token === "" || this.#seal === undefined ? token : this.#seal.seal(token);
  }

  #textsOf(isMeant: (claims: TokenClaims) => boolean): Set<string> {
    const texts = new Set<string>();
    for (const [text, claims] of this.#brought) if (isMeant(claims)) texts.add(text);
    return texts;
  }

  /** What the valid texts of the request say. */
  get #brought(): ReadonlyMap<string, TokenClaims> {
    if (this.#claims !== undefined) return this.#claims;
    // The session opens the texts when it first needs them.
    this.#bearer.session.keyedToken();
    const all = new Map<string, TokenClaims>();
    for (const [text, { token }] of this.#bearer.opened ?? []) {
      const claims = decodeToken(token);
      if (claims !== undefined) all.set(text, claims);
    }
    this.#claims = all;
    return all;
  }

  #isVoid({ issuedAt }: TokenClaims): boolean {
    return Date.now() - issuedAt > this.ttlMs;
  }
}
