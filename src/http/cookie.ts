/** Tokens in cookies that no other response can overwrite. */
import { randomBytes } from "node:crypto";
import { InvalidOptionError } from "../errors.js";
import { type Carrier, type CarrierRequest, type CarrierResponse, keepFromSharedCaches } from "./carrier.js";

export interface CookieOptions {
  /**
   * Begins every cookie's name; default `"tm_"`. Tidemarks of different Redis on one host need different ones. On HTTPS
   * `__Host-` is put in front, by which browsers keep other hosts from setting it, unless a `domain` or another `path` is given.
   */
  readonly prefix?: string;
  /** Default `"/"`. */
  readonly path?: string;
  /** Default: only the host that answered. */
  readonly domain?: string;
  /** Default `"lax"`; `"none"` needs `secure: true`. */
  readonly sameSite?: "lax" | "strict" | "none";
  /** Default: whether the request came over HTTPS, as the framework's own setting for proxies tells. */
  readonly secure?: boolean;
  /** Whether scripts of the page are kept from it; default true. */
  readonly httpOnly?: boolean;
  /** Default: the `tokenTtlMs` of the Tidemark, which it is never less than. */
  readonly maxAgeMs?: number;
  /** Whether it is kept apart for each site that embeds this one; default false, and true needs `secure: true`. */
  readonly partitioned?: boolean;
  /** Which cookies a browser drops last when there are too many; default: none is said. */
  readonly priority?: "low" | "medium" | "high";
}

interface Carried {
  readonly name: string;
  readonly value: string;
}

const suffixBytes = 9;
const suffixPattern = /^[\w-]{12}$/;
const sealedPattern = /^[\w-]{1,1536}$/;
/** As many cookies as a browser keeps for one site, so that none of its tokens goes unread. */
const maxRead = 180;
/** Many expired at once could make a head that proxies refuse; what is left over goes with a later response. */
const maxExpired = 16;
/** A browser has more only while more writes than this are in flight. */
const maxKept = 8;
const defaultPrefix = "tm_";

/**
 * Each response that wrote, or has read what is newer where reads are monotonic, sets a cookie of a fresh name and
 * expires those that its own request carried, all of which the new token contains. So whatever the order in which
 * responses arrive, none undoes another, and a browser keeps at most as many as it has such responses in flight. Any
 * other sets no cookie and stays cacheable, except that one whose request carried more than 8 puts them together into
 * one, and one whose request carried what an older secret had sealed seals it anew. Cookies that cannot be opened are
 * left alone, since they may be another app's. Where a cookie is set, `Cache-Control` becomes `private`.
 * Throws an `InvalidOptionError` for an option that no browser would accept.
 */
export function cookie(options: CookieOptions = {}): Carrier {
  checkOptions(options);
  const { prefix = defaultPrefix, path = "/", domain, maxAgeMs = 0 } = options;
  const ofHost = path === "/" && domain === undefined && !prefix.startsWith("__");
  const overHttp = { prefix, tail: attributes(options, false) };
  const overHttps = { prefix: ofHost ? `__Host-${prefix}` : prefix, tail: attributes(options, true) };
  const prefixes = ofHost ? [prefix, overHttps.prefix] : [prefix];

  return {
    read: (request) => carriedBy(request, prefixes).map(({ value }) => value),

    write(request, response, token) {
      const carried = carriedBy(request, prefixes);
      if (!token.moved && !token.aged && carried.length <= maxKept) return;
      const text = token.text();
      const merged = token.merged();
      const expired = carried.filter(({ value }) => merged.has(value)).slice(0, maxExpired);
      const current = (options.secure ?? isHttps(request)) ? overHttps : overHttp;
      const lines = expired.map(({ name }) => {
        const { tail } = ofHost && name.startsWith(overHttps.prefix) ? overHttps : current;
        return `${name}=; Max-Age=0${tail}`;
      });
      const maxAge = seconds(Math.max(token.ttlMs, maxAgeMs));
      if (text !== "")
        lines.push(`${current.prefix}${freshSuffix()}=${text}; Max-Age=${maxAge}${current.tail}`);
      if (lines.length > 0) append(response, lines);
    },
  };
}

function freshSuffix(): string {
  return randomBytes(suffixBytes).toString("base64url");
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}

function carriedBy(request: CarrierRequest, prefixes: readonly string[]): Carried[] {
  const header = request.headers.cookie;
  const carried: Carried[] = [];
  if (header === undefined || !header.includes(prefixes[0] ?? "")) return carried;
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, Math.max(equals, 0)).trim();
    const prefix = prefixes.find((one) => name.startsWith(one));
    if (prefix === undefined || !suffixPattern.test(name.slice(prefix.length))) continue;
    const value = pair.slice(equals + 1).trim();
    if (!sealedPattern.test(value)) continue;
    if (carried.push({ name, value }) === maxRead) break;
  }
  return carried;
}

function append(response: CarrierResponse, lines: readonly string[]): void {
  const others = response.getHeader("Set-Cookie") ?? [];
  response.setHeader("Set-Cookie", [...(typeof others === "object" ? others : [String(others)]), ...lines]);
  keepFromSharedCaches(response);
}

function isHttps({ protocol, socket }: CarrierRequest): boolean {
  if (protocol !== undefined) return protocol === "https";
  return typeof socket === "object" && socket !== null && "encrypted" in socket && socket.encrypted === true;
}

function attributes(options: CookieOptions, secure: boolean): string {
  const { path = "/", domain, sameSite = "lax", httpOnly = true, partitioned = false, priority } = options;
  return [
    `; Path=${path}`,
    domain === undefined ? "" : `; Domain=${domain}`,
    httpOnly ? "; HttpOnly" : "",
    `; SameSite=${titled(sameSite)}`,
    secure ? "; Secure" : "",
    partitioned ? "; Partitioned" : "",
    priority === undefined ? "" : `; Priority=${titled(priority)}`,
  ].join("");
}

function titled(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

function checkOptions(options: CookieOptions): void {
  const { prefix = defaultPrefix, path = "/", domain, sameSite = "lax", secure, partitioned } = options;
  check("prefix", prefix, /^[\w-]{1,40}$/, "give 1 to 40 letters, digits, _ or -");
  check("path", path, /^\/[\x21-\x3a\x3c-\x7e]*$/, 'give a path that begins with "/"');
  if (domain !== undefined) check("domain", domain, /^[a-z0-9.-]{1,253}$/i, "give a host name");
  if (!["lax", "strict", "none"].includes(sameSite)) {
    throw new InvalidOptionError("cookie sameSite", sameSite, 'give "lax", "strict" or "none"');
  }
  checkRarer(options);
  if (secure !== true && (sameSite === "none" || partitioned || /^__(host|secure)-/i.test(prefix))) {
    throw new InvalidOptionError("cookie secure", secure, "give true, or browsers refuse the cookie");
  }
  if (/^__host-/i.test(prefix) && (path !== "/" || domain !== undefined)) {
    throw new InvalidOptionError(
      "cookie prefix",
      prefix,
      'give no domain and the path "/", or browsers refuse it',
    );
  }
}

function checkRarer({ secure, httpOnly, partitioned, maxAgeMs = 0, priority = "low" }: CookieOptions): void {
  for (const [option, value] of Object.entries({ secure, httpOnly, partitioned })) {
    if (value === undefined || typeof value === "boolean") continue;
    throw new InvalidOptionError(`cookie ${option}`, value, "give true or false");
  }
  if (typeof maxAgeMs !== "number" || !Number.isFinite(maxAgeMs) || maxAgeMs < 0) {
    throw new InvalidOptionError("cookie maxAgeMs", maxAgeMs, "give a number of milliseconds");
  }
  if (!["low", "medium", "high"].includes(priority)) {
    throw new InvalidOptionError("cookie priority", priority, 'give "low", "medium" or "high"');
  }
}

function check(option: string, value: unknown, pattern: RegExp, remedy: string): void {
  if (typeof value !== "string" || !pattern.test(value)) {
    throw new InvalidOptionError(`cookie ${option}`, value, remedy);
  }
}
