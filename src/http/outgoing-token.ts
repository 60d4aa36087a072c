/** The token of a session whose response is about to leave, with what becomes of those that its request brought. */

import type { Seal, Session } from "../session/session.js";
import { type Claims, decodeToken } from "../session/token.js";
import type { OutgoingToken } from "./carriers/carrier.js";
import type { Opened } from "./keyring.js";
import { isContained, isRounded, roundedToken } from "./rounded-token.js";

/** A session, and what its request brought. */
export interface Bearer {
  readonly session: Session;
  /** See {@link OutgoingToken.arrivedAt}. */
  readonly arrivedAt: number;
  /** By the text it came in; undefined until the session needs it. */
  readonly opened: ReadonlyMap<string, Opened> | undefined;
}

/** Unsealed without a seal. */
export class SessionToken implements OutgoingToken {
  readonly ttlMs: number;
  readonly #bearer: Bearer;
  readonly #seal: Seal | undefined;
  #claims: ReadonlyMap<string, Claims> | undefined;

  constructor(bearer: Bearer, seal: Seal | undefined, ttlMs: number) {
    this.ttlMs = ttlMs;
    this.#bearer = bearer;
    this.#seal = seal;
  }

  get arrivedAt(): number {
    return this.#bearer.arrivedAt;
  }

  get moved(): boolean {
    return this.#bearer.session.moved;
  }

  get aged(): boolean {
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

  merged(): ReadonlySet<string> {
    const whole = decodeToken(this.#bearer.session.keyedToken());
    return this.#textsOf(
      (claims) => this.#isVoid(claims) || !isRounded(claims, this.ttlMs) || isContained(claims, whole),
    );
  }

  #sealed(token: string): string {
    return token === "" || this.#seal === undefined ? token : this.#seal.seal(token);
  }

  #textsOf(isMeant: (claims: Claims) => boolean): Set<string> {
    const texts = new Set<string>();
    for (const [text, claims] of this.#brought) if (isMeant(claims)) texts.add(text);
    return texts;
  }

  /** What the valid texts of the request say. */
  get #brought(): ReadonlyMap<string, Claims> {
    if (this.#claims !== undefined) return this.#claims;
    // The session opens the texts when it first needs them.
    this.#bearer.session.keyedToken();
    const all = new Map<string, Claims>();
    for (const [text, { token }] of this.#bearer.opened ?? []) {
      const claims = decodeToken(token);
      if (claims !== undefined) all.set(text, claims);
    }
    this.#claims = all;
    return all;
  }

  #isVoid({ issuedAt }: Claims): boolean {
    return Date.now() - issuedAt > this.ttlMs;
  }
}
