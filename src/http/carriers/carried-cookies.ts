/** The cookies of a request that hold tokens, and which of them a response may expire. */
import type { CarrierRequest, OutgoingToken } from "./carrier.js";

/** A cookie whose value looks like a token. */
export interface CarriedCookie {
  readonly name: string;
  readonly value: string;
}

/** As long as it takes to tell any two tokens apart: their last characters look random. */
const suffixLength = 12;
const suffixPattern = /^[\w-]{12}$/;
/** No token is shorter, since its signature alone takes this much. */
const valuePattern = /^[\w-]{22,1536}$/;
/** Many expired at once could make a head that proxies refuse; what is left over goes with a later response. */
const maxExpired = 16;
/** A browser has more only while more writes than this are in flight. */
export const maxKept = 8;

/** The cookies of `request` whose names begin with one of `prefixes`; the first of these is part of all others. */
export function cookiesOf({ headers }: CarrierRequest, prefixes: readonly string[]): CarriedCookie[] {
  const header = headers.cookie;
  const cookies: CarriedCookie[] = [];
  if (header === undefined || !header.includes(prefixes[0] ?? "")) return cookies;
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, Math.max(equals, 0)).trim();
    const prefix = prefixes.find((one) => name.startsWith(one));
    if (prefix === undefined || !suffixPattern.test(name.slice(prefix.length))) continue;
    const value = pair.slice(equals + 1).trim();
    if (valuePattern.test(value)) cookies.push({ name, value });
  }
  return cookies;
}

/** The name for a cookie that holds `text`: two texts have two names, so none takes the place of the other. */
export function nameFor(prefix: string, text: string): string {
  return `${prefix}${text.slice(-suffixLength)}`;
}

/** Whether a cookie has the name that it was given with one of `prefixes`; others may have been set by other hosts. */
export function isNamedBy(prefixes: readonly string[], { name, value }: CarriedCookie): boolean {
  return prefixes.some((prefix) => name === nameFor(prefix, value));
}

/** What becomes of cookies that were named after their tokens when `token` is brought. */
export class CarriedCookies {
  /** How many hold a token that is valid and in force. */
  readonly count: number;
  readonly #inForce: readonly string[];
  readonly #mayGo: readonly string[];

  constructor(cookies: readonly CarriedCookie[], token: OutgoingToken) {
    const isEmpty = cookies.length === 0;
    this.#inForce = isEmpty ? [] : namesOf(cookies, token.inForce());
    this.#mayGo = isEmpty ? [] : namesOf(cookies, token.contained());
    this.count = this.#inForce.length;
  }

  /**
   * How many exact tokens a burst of requests with these cookies may be given: one for each write that is likely to be in
   * flight. Fewer than none where there are too many already, so that new ones are rounded the more.
   */
  get exactTokens(): number {
    return this.count > maxKept ? maxKept - this.count : Math.max(1, maxKept - 2 * this.count);
  }

  /**
   * Whether a response that has nothing new to say should put them together: because there are many, or one is `usesOldSecret`. Not
   * while there is one that may not go yet. It was set by the last attempt, which was in vain if the others are still there:
   * nothing expires the cookies that another host has set for the whole domain.
   */
  areToBeMerged(usesOldSecret: boolean): boolean {
    return (
      (usesOldSecret || this.count > maxKept) && this.#inForce.every((name) => this.#mayGo.includes(name))
    );
  }

  /**
   * The names of those that a response expires which sets `name`: those in force before others. Where there are more than 16
   * the new name, which looks random, decides which, so that each has its turn.
   */
  expiredBy(name: string): string[] {
    const names = this.#mayGo.filter((one) => one !== name).sort();
    const turned = [...names.filter((one) => one > name), ...names.filter((one) => one < name)];
    const isInForce = (one: string): boolean => this.#inForce.includes(one);
    const inOrder = [...turned.filter(isInForce), ...turned.filter((one) => !isInForce(one))];
    return inOrder.slice(0, maxExpired);
  }
}

/** The names, each once, of those that hold one of `texts`. */
function namesOf(cookies: readonly CarriedCookie[], texts: ReadonlySet<string>): string[] {
  return [...new Set(cookies.filter(({ value }) => texts.has(value)).map(({ name }) => name))];
}
