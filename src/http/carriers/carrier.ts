/** How a token travels from the response that learnt it to the next requests of the same user. */
import type { IncomingHttpHeaders } from "node:http";

/** What a carrier may look at of a request; Node's own and every framework's request will do. */
export interface CarrierRequest {
  readonly headers: IncomingHttpHeaders;
  /** `"https"` or `"http"`: what the user's connection is, as far as a framework knows about proxies. */
  readonly protocol?: string;
  readonly socket?: object | null;
  /** The session of a session middleware, where one is mounted before. */
  readonly session?: unknown;
}

/** What a carrier may do to a response, whose head has not left yet. */
export interface CarrierResponse {
  getHeader(name: string): number | string | readonly string[] | undefined;
  setHeader(name: string, value: string | readonly string[]): unknown;
}

/** The token of a session whose response is about to leave. */
export interface OutgoingToken {
  /**
   * Whether more is required than the request has brought, by a write, or with monotonic reads by a read: then a response
   * without the token lets its user miss it.
   */
  readonly changed: boolean;
  /** For how many milliseconds the token is of use. */
  readonly ttlMs: number;
  /** When the request arrived, in milliseconds on the clock of `performance.now()`. */
  readonly arrivedAt: number;
  /** Whether a text in force that this request carried was sealed with an older secret, which will not be accepted for ever. */
  readonly usesOldSecret: boolean;
  /** All that the session requires, sealed unless the carrier is `serverSide`; empty when it requires nothing. */
  text(): string;
  /**
   * The same, asking for somewhat more, so that responses to one user that leave at about the same time have the same text,
   * whichever process they leave. At level 0 only the times are rounded up, to a quarter of `ttlMs`. From level 1 the offsets
   * are, too: to 1 kB of replication, and to four times as much with each further level. Reads go to the primary until its
   * replicas have got that far.
   */
  rounded(level: number): string;
  /** Names the histories of replication that it has positions of. Tokens with the same ones are rounded to the same texts. */
  histories(): string;
  /** Those of the texts this request carried that are valid and have not run out. */
  inForce(): ReadonlySet<string>;
  /**
   * Those of the texts this request carried that may be discarded where `text()` or `rounded()` is brought: it contains
   * them, or they have run out. A rounded text is not among them as long as other responses may bring it, too.
   */
  contained(): ReadonlySet<string>;
}

/**
 * One way for tokens to travel. Neither method should throw: a request whose tokens could not be read is answered by
 * the primary, a token that could not be written is lost, and a process warning says so once.
 */
export interface Carrier {
  /** True when users can neither see nor change what is carried; tokens are then not sealed. Default false. */
  readonly serverSide?: boolean;
  /** Called once for every request, as soon as what middleware adds to it is there. */
  begin?(request: CarrierRequest): void;
  /**
   * Every text the request carries, unchecked; called when the session first needs them. At most 180 different ones are
   * looked at. Where there are more, or where one is `"*"`, which stands for tokens that the client could not send, the
   * request counts as one whose user has written something unknown.
   */
  read(request: CarrierRequest): readonly string[];
  /**
   * Called for every response, when its head is about to leave, or before a session middleware saves where that is
   * earlier; to write nothing is allowed. Once, but for a `serverSide` one whose head is built before its writes are
   * over: what it is told last counts.
   */
  write(request: CarrierRequest, response: CarrierResponse, token: OutgoingToken): void;
}

/** What other caches than browsers obey in place of `Cache-Control`, and what keeps a response out of them. */
const targeted: readonly (readonly [name: string, value: string])[] = [
  ...["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Vercel-CDN-Cache-Control"].map(forNone),
  ...["Netlify-CDN-Cache-Control", "Akamai-Cache-Control", "Fastly-Cache-Control"].map(forNone),
  forNone("Surrogate-Control"),
  ["Edge-Control", "no-store"],
  ["X-LiteSpeed-Cache-Control", "no-cache"],
  ["X-Accel-Expires", "0"],
];

function forNone(name: string): readonly [string, string] {
  return [name, "private, no-store"];
}

/**
 * Keeps a response out of caches that several users share, for carriers that give it something of one user's. The user's own
 * browser may cache it as before.
 */
export function keepFromSharedCaches(response: CarrierResponse): void {
  const given = response.getHeader("Cache-Control");
  const cacheControl = given === undefined ? "private" : forOneUser(String(given));
  if (cacheControl !== given) response.setHeader("Cache-Control", cacheControl);
  for (const [name, value] of targeted)
    if (response.getHeader(name) !== undefined) response.setHeader(name, value);
}

const directive = /^[!#$%&'*+.^`|~\w-]+(=([!#$%&'*+.^`|~\w-]+|"([^"\\]|\\.)*"))?$/;
const forOthers = new Set(["public", "s-maxage", "private"]);

function forOneUser(cacheControl: string): string {
  const parts = cacheControl.match(/("([^"\\]|\\.)*"|[^,])+/g) ?? [];
  const directives = parts.map((part) => part.trim()).filter((part) => part !== "");
  // Caches differ in how they read a list that is none.
  if (!directives.every((one) => directive.test(one))) return "private, no-store";
  const names = directives.map((one) => one.toLowerCase());
  const kept = directives.filter((_one, at) => !forOthers.has(names[at]?.split("=", 1)[0] ?? ""));
  const isKept = names.includes("no-store") && !names.includes("must-understand");
  // With "must-understand" a cache may store in spite of "no-store".
  if (isKept && kept.length === directives.length) return cacheControl;
  return ["private", ...kept].join(", ");
}
