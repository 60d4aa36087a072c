/** The cookies of a request that contain tokens, and those of them that a response may expire. */
import type { CarrierRequest, OutgoingToken } from "./carrier.js";

/** A cookie whose value looks like a token. A class, because V8 may place literals among old objects. */
export class CarriedCookie {
  readonly name: string;
  readonly value: string;

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
  }
}

/** Long enough to tell any two tokens apart, because their last characters look random. */
const suffixLength = 12;
/** No token is shorter, because its signature alone has 22 characters. */
const minLength = 22;
const maxLength = 1536;
const base64url = /^[\w-]+$/;
/** More expired cookies could make headers that proxies refuse. A later response expires the rest. */
const maxExpired = 16;
/** A browser has more token cookies than this only while more writes than this are in flight. */
export const maxKept = 8;

const noCookies: readonly CarriedCookie[] = [];
const noNames: readonly string[] = [];

/** The cookies of `request` whose names begin with one of `prefixes`. Every prefix must contain the first one. */
export function cookiesOf(
  { headers }: CarrierRequest,
  prefixes: readonly string[],
): readonly CarriedCookie[] {
  const header = headers.cookie;
  if (header === undefined) return noCookies;
  const shortest = prefixes[0] ?? "";
  let at = header.indexOf(shortest);
  if (at < 0) return noCookies;
  const cookies: CarriedCookie[] = [];
  while (at >= 0) {
    const next = header.indexOf(";", at);
    const end = next < 0 ? header.length : next;
    const one = cookieIn(header.slice(header.lastIndexOf(";", at) + 1, end), prefixes);
    if (one !== undefined) cookies.push(one);
    at = header.indexOf(shortest, end);
  }
  return cookies;
}

/** The value of the cookie with this name, if it looks like a token. */
export function cookieNamed({ headers }: CarrierRequest, name: string): string | undefined {
  for (const pair of (headers.cookie ?? "").split(";")) {
    const equals = pair.indexOf("=");
    if (pair.slice(0, equals).trim() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    if (value.length >= minLength && value.length <= maxLength && base64url.test(value)) return value;
  }
  return undefined;
}

/** The cookie in a pair of name and value. Undefined if it has no token. */
function cookieIn(pair: string, prefixes: readonly string[]): CarriedCookie | undefined {
  const equals = pair.indexOf("=");
  if (equals < 0) return undefined;
  const name = pair.slice(0, equals).trim();
  if (!base64url.test(name) || !isPrefixed(name, prefixes)) return undefined;
  const value = pair.slice(equals + 1).trim();
  if (value.length < minLength || value.length > maxLength || !base64url.test(value)) return undefined;
  return new CarriedCookie(name, value);
}

/** Whether the name of a cookie is one of `prefixes` and a suffix. */
export function isPrefixed(name: string, prefixes: readonly string[]): boolean {
  for (const prefix of prefixes)
    if (name.length === prefix.length + suffixLength && name.startsWith(prefix)) return true;
  return false;
}

/**
 * Whether `request` may have more cookies than this whose names begin with one of `prefixes`. If not, {@link cookiesOf} returns no
 * more. This takes less time, because nothing is cut out of the header.
 */
export function mayHaveMoreThan(
  count: number,
  { headers }: CarrierRequest,
  prefixes: readonly string[],
): boolean {
  const header = headers.cookie;
  if (header === undefined) return false;
  const shortest = prefixes[0] ?? "";
  let left = count;
  for (let at = header.indexOf(shortest); at >= 0; at = header.indexOf(shortest, at + shortest.length)) {
    if (left === 0) return true;
    left -= 1;
  }
  return false;
}

/** The name of the cookie for `text`. Two texts have two names, so neither cookie replaces the other. */
export function nameFor(prefix: string, text: string): string {
  return `${prefix}${text.slice(-suffixLength)}`;
}

/** Whether the name of a cookie belongs to its value and one of `prefixes`. Other hosts may have set cookies with other names. */
export function isNamedBy(prefixes: readonly string[], { name, value }: CarriedCookie): boolean {
  return isPrefixed(name, prefixes) && value.endsWith(name.slice(-suffixLength));
}

/** Decides what happens to the cookies of a request when its response brings `token`. */
export class CarriedCookies {
  /** How many cookies contain a token that is valid and in force. */
  readonly count: number;
  readonly #inForce: readonly string[];
  readonly #expirable: readonly string[];

  constructor(cookies: readonly CarriedCookie[], token: OutgoingToken) {
    const isEmpty = cookies.length === 0;
    this.#inForce = isEmpty ? noNames : namesOf(cookies, token.inForce());
    this.#expirable = isEmpty ? noNames : namesOf(cookies, token.contained());
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
  expiredBy(name: string): readonly string[] {
    const names = this.#expirable.filter((one) => one !== name).sort();
    if (names.length < 2) return names;
    const turned = [...names.filter((one) => one > name), ...names.filter((one) => one < name)];
    const isInForce = (one: string): boolean => this.#inForce.includes(one);
    const inOrder = [...turned.filter(isInForce), ...turned.filter((one) => !isInForce(one))];
    return inOrder.slice(0, maxExpired);
  }
}

/** The names of the cookies that contain one of `texts`, without duplicates. */
function namesOf(cookies: readonly CarriedCookie[], texts: ReadonlySet<string>): readonly string[] {
  const names: string[] = [];
  for (const { name, value } of cookies) if (texts.has(value) && !names.includes(name)) names.push(name);
  return names;
}
