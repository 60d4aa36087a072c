/** The cookies of a request that contain tokens, and those of them that a response may expire. */
import type { CarrierRequest, OutgoingToken } from "./carrier.js";

/** A cookie whose value looks like a token. */
export interface CarriedCookie {
  readonly name: string;
  readonly value: string;
}

/** Long enough to tell any two tokens apart, because their last characters look random. */
const suffixLength = 12;
const suffixPattern = /^[\w-]{12}$/;
/** No token is shorter, because its signature alone has 22 characters. */
const valuePattern = /^[\w-]{22,1536}$/;
/** More expired cookies could make headers that proxies refuse. A later response expires the rest. */
const maxExpired = 16;
/** A browser has more token cookies than this only while more writes than this are in flight. */
export const maxKept = 8;

/** The cookies of `request` whose names begin with one of `prefixes`. Every prefix must contain the first one. */
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

/** The name of the cookie for `text`. Two texts have two names, so neither cookie replaces the other. */
export function nameFor(prefix: string, text: string): string {
  return `${prefix}${text.slice(-suffixLength)}`;
}

/** Whether the name of a cookie belongs to its value and one of `prefixes`. Other hosts may have set cookies with other names. */
export function isNamedBy(prefixes: readonly string[], { name, value }: CarriedCookie): boolean {
  return prefixes.some((prefix) => name === nameFor(prefix, value));
}

/** Decides what happens to the cookies of a request when its response brings `token`. */
export class CarriedCookies {
  /** How many cookies contain a token that is valid and in force. */
  readonly count: number;
  readonly #inForce: readonly string[];
  readonly #expirable: readonly string[];

  constructor(cookies: readonly CarriedCookie[], token: OutgoingToken) {
    const isEmpty = cookies.length === 0;
    this.#inForce = isEmpty ? [] : namesOf(cookies, token.inForce());
    this.#expirable = isEmpty ? [] : namesOf(cookies, token.contained());
    this.count = this.#inForce.length;
  }

  /**
   * How many exact tokens a burst of requests with these cookies may get: one for each write that is likely to be in flight. It
   * is negative if there are too many cookies already. New tokens are then rounded more.
   */
  get exactTokens(): number {
    return this.count > maxKept ? maxKept - this.count : Math.max(1, maxKept - 2 * this.count);
  }

  /**
   * Whether a response with an unchanged token should merge the cookies, because there are too many or one uses an old secret.
   * False while one of the cookies may not be expired yet, because the last merge has set that cookie. If other cookies are still
   * there after the merge, another merge would not help: a response cannot expire a cookie that another host has set for the whole
   * domain.
   */
  areToBeMerged(usesOldSecret: boolean): boolean {
    return (
      (usesOldSecret || this.count > maxKept) && this.#inForce.every((name) => this.#expirable.includes(name))
    );
  }

  /**
   * The names of the cookies that a response expires when it sets `name`. Cookies in force come first. If there are more than 16,
   * the new name selects them. The name looks random, so over several responses each cookie has its turn.
   */
  expiredBy(name: string): string[] {
    const names = this.#expirable.filter((one) => one !== name).sort();
    const turned = [...names.filter((one) => one > name), ...names.filter((one) => one < name)];
    const isInForce = (one: string): boolean => this.#inForce.includes(one);
    const inOrder = [...turned.filter(isInForce), ...turned.filter((one) => !isInForce(one))];
    return inOrder.slice(0, maxExpired);
  }
}

/** The names of the cookies that contain one of `texts`, without duplicates. */
function namesOf(cookies: readonly CarriedCookie[], texts: ReadonlySet<string>): string[] {
  return [...new Set(cookies.filter(({ value }) => texts.has(value)).map(({ name }) => name))];
}
