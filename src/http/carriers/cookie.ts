/** Tokens in cookies that no other response can replace. */
import { InvalidOptionError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import { Bursts } from "./bursts.js";
import {
  CarriedCookies,
  cookieNamed,
  cookiesOf,
  isNamedBy,
  isPrefixed,
  maxKept,
  mayHaveMoreThan,
  nameFor,
} from "./carried-cookies.js";
import {
  type Carrier,
  type CarrierRequest,
  type CarrierResponse,
  isForSharedCaches,
  keepFromSharedCaches,
} from "./carrier.js";

export interface CookieOptions {
  /**
   * The beginning of every cookie's name; default `"tm_"`. Tidemarks of different Redis servers on one host need different
   * prefixes. On HTTPS, `__Host-` comes before the prefix, unless you set a `domain` or another `path`. Browsers then prevent
   * other hosts from setting the cookie.
   */
  readonly prefix?: string;
  /** Default `"/"`. */
  readonly path?: string;
  /** Default: the host that answered, without its subdomains. */
  readonly domain?: string;
  /** Default `"lax"`; `"none"` needs `secure: true`. */
  readonly sameSite?: "lax" | "strict" | "none";
  /** Default: true if the request came over HTTPS, according to the framework's setting for proxies. */
  readonly secure?: boolean;
  /** Whether scripts of the page cannot read the cookie; default true. */
  readonly httpOnly?: boolean;
  /** The lifetime of the cookie in milliseconds. Default and minimum: the `tokenTtlMs` of the Tidemark. */
  readonly maxAgeMs?: number;
  /** Whether each site that embeds this one has a cookie of its own; default false. `true` needs `secure: true`. */
  readonly partitioned?: boolean;
  /** The priority by which a browser removes cookies when there are too many. Default: no attribute. */
  readonly priority?: "low" | "medium" | "high";
}

/** How cookies are set and read over HTTP or over HTTPS. */
interface Scheme {
  readonly prefix: string;
  /** The attributes of a new cookie. */
  readonly tail: string;
  /** The prefixes of the cookies that responses may expire. */
  readonly own: readonly string[];
  /**
   * The prefixes of the cookies that are read. Another host may have set such a cookie, but a token can only raise what reads
   * require.
   */
  readonly read: readonly string[];
}

const defaultPrefix = "tm_";
/** The name behind the prefix. The suffix of a token's cookie is longer. */
const rolloutName = "rollout";
/** Longer than most rollouts take. */
const rolloutDays = 90;
const secondsPerDay = 86_400;
const noTexts: readonly string[] = [];
/** The names of the options of {@link cookie}. */
export const cookieOptions: readonly string[] = [
  ...["prefix", "path", "domain", "sameSite", "secure", "httpOnly", "maxAgeMs", "partitioned", "priority"],
];

/**
 * Sends tokens in cookies. A response sets a cookie if its request wrote or, with `monotonicReads`, read newer data. The cookie is
 * named after its token, and two tokens never share a name. The response also expires the cookies of its own request, because the
 * new token contains their tokens. It expires no others, so responses may arrive in any order, and none undoes another.
 *
 * The first responses to a burst of requests with the same cookies bring exact tokens, at most 8. Later responses bring rounded
 * tokens, which many responses share. So a browser has few cookies, even with many writes in flight. A response without a new token
 * sets no cookie and stays cacheable, with two exceptions. If the request has more than 8 cookies, the response merges them into
 * one. If a token was encrypted with an older secret, the response encrypts it again.
 *
 * While a rollout has reached some of the users, a response also sets the cookie `tm_rollout` for 90 days, if its request had none
 * and needed to know. It says in which of 10,000 parts of all users the user is. It is not set on responses for shared caches.
 *
 * Invalid cookies are left alone, because they may belong to another app. A response that sets a cookie gets `Cache-Control:
 * private`. Throws an `InvalidOptionError` for an option that no browser would accept.
 */
export function cookie(options: CookieOptions = {}): Carrier {
  checkOptions(options);
  const { prefix = defaultPrefix, path = "/", domain, maxAgeMs = 0 } = options;
  const ofHost = path === "/" && domain === undefined && !prefix.startsWith("__");
  const hostPrefix = ofHost ? `__Host-${prefix}` : prefix;
  const prefixes = ofHost ? [prefix, hostPrefix] : [prefix];
  const overHttp: Scheme = { prefix, tail: attributes(options, false), own: prefixes, read: prefixes };
  const overHttps: Scheme = {
    prefix: hostPrefix,
    tail: attributes(options, true),
    own: [hostPrefix],
    // A user may have written over HTTP a moment ago, unless `secure` is true, because then no cookie is set over HTTP.
    read: options.secure === true ? [hostPrefix] : prefixes,
  };
  const schemeOf = (request: CarrierRequest): Scheme =>
    (options.secure ?? isHttps(request)) ? overHttps : overHttp;
  const bursts = new Bursts();

  return {
    read(request) {
      const carried = cookiesOf(request, prefixes);
      if (carried.length === 0) return noTexts;
      const { own, read } = schemeOf(request);
      const texts: string[] = [];
      for (const one of carried) if (isNamedBy(own, one)) texts.push(one.value);
      if (texts.length === carried.length) return texts;
      for (const one of carried)
        if (!isNamedBy(own, one) && isPrefixed(one.name, read)) texts.push(one.value);
      return texts;
    },

    write(request, response, token) {
      const isDue = token.changed || token.usesOldSecret;
      if (!isDue && !mayHaveMoreThan(maxKept, request, prefixes)) return;
      const carried = cookiesOf(request, prefixes);
      if (!isDue && carried.length <= maxKept) return;
      const { own, prefix: begin, tail } = schemeOf(request);
      const cookies = new CarriedCookies(
        carried.filter((one) => isNamedBy(own, one)),
        token,
      );
      if (!token.changed && !cookies.areToBeMerged(token.usesOldSecret)) return;
      const text = token.changed ? bursts.textFor(request, token, cookies.exactTokens) : token.rounded(0);
      const name = nameFor(begin, text);
      const lines = cookies.expiredBy(name).map((one) => {
        const setOver = one.startsWith(hostPrefix) ? overHttps : overHttp;
        return `${one}=; Max-Age=0${ofHost ? setOver.tail : tail}`;
      });
      const maxAge = seconds(Math.max(token.ttlMs, maxAgeMs));
      if (text !== "") lines.push(`${name}=${text}; Max-Age=${maxAge}${tail}`);
      if (lines.length > 0) append(response, lines);
    },

    membership: {
      read: (request) => {
        for (const one of schemeOf(request).read) {
          const value = cookieNamed(request, one + rolloutName);
          if (value !== undefined) return value;
        }
        return undefined;
      },

      write: (request, response, text) => {
        if (isForSharedCaches(response)) return;
        const { prefix: begin, tail } = schemeOf(request);
        append(response, [`${begin}${rolloutName}=${text}; Max-Age=${rolloutDays * secondsPerDay}${tail}`]);
      },
    },
  };
}

function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
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
  refuseUnknown("cookie", options, cookieOptions);
  const { prefix = defaultPrefix, path = "/", domain, sameSite = "lax", secure, partitioned } = options;
  check("prefix", prefix, /^[\w-]{1,40}$/, "Pass 1 to 40 letters, digits, _ or -");
  check("path", path, /^\/[\x21-\x3a\x3c-\x7e]*$/, 'Pass a path that begins with "/"');
  if (domain !== undefined) check("domain", domain, /^[a-z0-9.-]{1,253}$/i, "Pass a host name");
  if (!["lax", "strict", "none"].includes(sameSite)) {
    throw new InvalidOptionError("cookie sameSite", sameSite, 'Pass "lax", "strict" or "none"');
  }
  checkRarer(options);
  if (secure !== true && (sameSite === "none" || partitioned || /^__(host|secure)-/i.test(prefix))) {
    const cause =
      sameSite === "none" ? 'sameSite: "none"' : partitioned ? "partitioned" : `the prefix "${prefix}"`;
    throw new InvalidOptionError(
      "cookie secure",
      secure,
      `Pass true, because browsers require it for ${cause}`,
    );
  }
  if (/^__host-/i.test(prefix) && (path !== "/" || domain !== undefined)) {
    throw new InvalidOptionError(
      "cookie prefix",
      prefix,
      'Remove domain and use the path "/", or browsers refuse the cookie',
    );
  }
}

function checkRarer({ secure, httpOnly, partitioned, maxAgeMs = 0, priority = "low" }: CookieOptions): void {
  for (const [option, value] of Object.entries({ secure, httpOnly, partitioned })) {
    if (value === undefined || typeof value === "boolean") continue;
    throw new InvalidOptionError(`cookie ${option}`, value, "Pass true or false");
  }
  if (typeof maxAgeMs !== "number" || !Number.isFinite(maxAgeMs) || maxAgeMs < 0) {
    throw new InvalidOptionError("cookie maxAgeMs", maxAgeMs, "Pass a number of milliseconds, at least 0");
  }
  if (!["low", "medium", "high"].includes(priority)) {
    throw new InvalidOptionError("cookie priority", priority, 'Pass "low", "medium" or "high"');
  }
}

function check(option: string, value: unknown, pattern: RegExp, remedy: string): void {
  if (typeof value !== "string" || !pattern.test(value)) {
    throw new InvalidOptionError(`cookie ${option}`, value, remedy);
  }
}
