/** Tokens in cookies that no other response can overwrite. */
import { randomBytes } from "node:crypto";
import { InvalidOptionError } from "../errors.js";
import type { Carrier, CarrierRequest, CarrierResponse } from "./carrier.js";

export interface CookieOptions {
  /** Begins every cookie's name; default `"tm_"`. Tidemarks of different Redis on one host need different ones. */
  readonly prefix?: string;
  /** Default `"/"`. */
  readonly path?: string;
  /** Default: only the host that answered. */
  readonly domain?: string;
  /** Default `"lax"`; `"none"` needs `secure: true`. */
  readonly sameSite?: "lax" | "strict" | "none";
  /** Default: whether the request came over HTTPS. */
  readonly secure?: boolean;
}

interface Carried {
  readonly name: string;
  readonly value: string;
}

const suffixBytes = 9;
const suffixPattern = /^[\w-]{12}$/;
const sealedPattern = /^[\w-]{1,1024}$/;
/** As many cookies as a browser keeps for one site, so that none of its tokens goes unread. */
const maxRead = 180;
/** Many expired at once could make a head that proxies refuse; what is left over goes with a later response. */
const maxExpired = 16;
/** A browser has more only while more writes than this are in flight. */
const maxKept = 8;
const defaultPrefix = "tm_";

/**
 * Each response that wrote sets a cookie of a fresh name and expires those that its own request carried, all of
 * which the new token contains. So whatever the order in which responses arrive, none undoes another, and a
 * browser keeps at most as many as it has writes in flight. A response that did not write sets no cookie and stays
 * cacheable, except that one whose request carried more than 8 puts them together into one. Cookies that cannot be
 * opened are left alone, since they may be another app's. Where a cookie is set, `Cache-Control` becomes `private`.
 * Throws an `InvalidOptionError` for an option that no browser would accept.
 */
export function cookie(options: CookieOptions = {}): Carrier {
  checkOptions(options);
  const prefix = options.prefix ?? defaultPrefix;
  const plain = attributes(options, false);
  const secure = attributes(options, true);

  return {
    read: (request) => carriedBy(request, prefix).map(({ value }) => value),

    write(request, response, token) {
      const carried = carriedBy(request, prefix);
      if (!token.wrote && carried.length <= maxKept) return;
      const text = token.text();
      const merged = token.merged();
      const expired = carried.filter(({ value }) => merged.has(value)).slice(0, maxExpired);
      const tail = (options.secure ?? isHttps(request)) ? secure : plain;
      const lines = expired.map(({ name }) => `${name}=; Max-Age=0${tail}`);
      if (text !== "")
        lines.push(`${prefix}${freshSuffix()}=${text}; Max-Age=${seconds(token.ttlMs)}${tail}`);
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

function carriedBy(request: CarrierRequest, prefix: string): Carried[] {
  const header = request.headers.cookie;
  const carried: Carried[] = [];
  if (header === undefined || !header.includes(prefix)) return carried;
  for (const pair of header.split(";")) {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, Math.max(equals, 0)).trim();
    if (!name.startsWith(prefix) || !suffixPattern.test(name.slice(prefix.length))) continue;
    const value = pair.slice(equals + 1).trim();
    if (!sealedPattern.test(value)) continue;
    if (carried.push({ name, value }) === maxRead) break;
  }
  return carried;
}

function append(response: CarrierResponse, lines: readonly string[]): void {
  const others = response.getHeader("Set-Cookie") ?? [];
  response.setHeader("Set-Cookie", [...(typeof others === "object" ? others : [String(others)]), ...lines]);
  const cacheControl = response.getHeader("Cache-Control");
  if (cacheControl !== undefined) response.setHeader("Cache-Control", forOneUser(String(cacheControl)));
}

/** The same caching for the user's own browser, none for caches that others share: they would hand out the cookie. */
function forOneUser(cacheControl: string): string {
  const directives = cacheControl.split(",").map((directive) => directive.trim());
  const nameOf = (directive: string) => directive.split("=", 1)[0]?.toLowerCase() ?? "";
  if (directives.some((directive) => ["private", "no-store"].includes(nameOf(directive))))
    return cacheControl;
  const kept = directives.filter((directive) => !["public", "s-maxage"].includes(nameOf(directive)));
  return ["private", ...kept].join(", ");
}

function isHttps(request: CarrierRequest): boolean {
  if (request.secure !== undefined) return request.secure;
  const { socket } = request;
  return typeof socket === "object" && socket !== null && "encrypted" in socket && socket.encrypted === true;
}

function attributes({ path = "/", domain, sameSite = "lax" }: CookieOptions, secure: boolean): string {
  const name = { lax: "Lax", strict: "Strict", none: "None" }[sameSite];
  return `; Path=${path}${domain === undefined ? "" : `; Domain=${domain}`}; HttpOnly; SameSite=${name}${secure ? "; Secure" : ""}`;
}

function checkOptions({
  prefix = defaultPrefix,
  path = "/",
  domain,
  sameSite = "lax",
  secure,
}: CookieOptions): void {
  check("prefix", prefix, /^[\w-]{1,40}$/, "give 1 to 40 letters, digits, _ or -");
  check("path", path, /^\/[\x21-\x3a\x3c-\x7e]*$/, 'give a path that begins with "/"');
  if (domain !== undefined) check("domain", domain, /^[a-z0-9.-]{1,253}$/i, "give a host name");
  if (!["lax", "strict", "none"].includes(sameSite)) {
    throw new InvalidOptionError("cookie sameSite", sameSite, 'give "lax", "strict" or "none"');
  }
  if (secure !== undefined && typeof secure !== "boolean") {
    throw new InvalidOptionError("cookie secure", secure, "give true or false");
  }
  if (secure !== true && (sameSite === "none" || /^__(host|secure)-/i.test(prefix))) {
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

function check(option: string, value: unknown, pattern: RegExp, remedy: string): void {
  if (typeof value !== "string" || !pattern.test(value)) {
    throw new InvalidOptionError(`cookie ${option}`, value, remedy);
  }
}
