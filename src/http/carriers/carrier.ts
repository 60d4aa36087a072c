/** How a token travels from a response to the next requests of the same user. */
import type { IncomingHttpHeaders } from "node:http";

/** The part of a request that a carrier reads. The requests of Node and of every framework have it. */
export interface CarrierRequest {
  readonly headers: IncomingHttpHeaders;
  /** `"https"` or `"http"`: the protocol of the user's connection, if the framework knows it from a proxy. */
  readonly protocol?: string;
  readonly socket?: object | null;
  /** The session of a session middleware that is mounted earlier. */
  readonly session?: unknown;
}

/** The part of a response that a carrier uses. Its headers have not been sent yet. */
export interface CarrierResponse {
  getHeader(name: string): number | string | readonly string[] | undefined;
  setHeader(name: string, value: string | readonly string[]): unknown;
}

/** The token of a session whose response is about to be sent. */
export interface OutgoingToken {
  /**
   * Whether the session requires more than the tokens of its request, because of a write, or with `monotonicReads` because of a
   * read. If a response omits a changed token, its user may miss the write.
   */
  readonly changed: boolean;
  /** How many milliseconds the token is in force. */
  readonly ttlMs: number;
  /** The time at which the request arrived, in milliseconds on the clock of `performance.now()`. */
  readonly arrivedAt: number;
  /** Whether the request carried a text in force that was encrypted with an older secret, which will be removed some day. */
  readonly usesOldSecret: boolean;
  /** Everything that the session requires, encrypted unless the carrier is `serverSide`. Empty if the session requires nothing. */
  text(): string;
  /**
   * Everything that the session requires, and slightly more, encrypted like `text()`. Responses to one user that are sent at about
   * the same time then have the same text, even from different processes. Level 0 rounds only the times up, to multiples of a
   * quarter of `ttlMs`. From level 1 the offsets are rounded up too: to multiples of 1 kB of replication, and of four times as much
   * with each further level. Reads go to the primary until a replica has reached the rounded offset.
   */
  rounded(level: number): string;
  /** Names the replication histories of the token's positions. Tokens with the same histories are rounded to the same texts. */
  histories(): string;
  /** The texts of this request that are valid and have not expired. */
  inForce(): ReadonlySet<string>;
  /**
   * The texts of this request that the client may discard when it gets `text()` or `rounded()`: the new text contains them, or
   * they have expired. A rounded text is excluded as long as other responses may bring it too.
   */
  contained(): ReadonlySet<string>;
}

/**
 * One way for tokens to travel. Its methods should not throw. If `read` throws, the primary answers the reads of the request. If
 * `write` throws, the token is lost. A process warning reports the first error.
 */
export interface Carrier {
  /** True if users can neither see nor change what is carried. Tokens are then not encrypted. Default false. */
  readonly serverSide?: boolean;
  /** Called once for every request, after other middleware has added to the request. */
  begin?(request: CarrierRequest): void;
  /**
   * Returns every text that the request carries, unchecked. Called when the session first needs the texts. Tidemark reads at most
   * 180 different texts. The text `"*"` stands for tokens that the client could not send. If there is a `"*"` or there are more
   * than 180 texts, the request counts as one whose user has written something unknown.
   */
  read(request: CarrierRequest): readonly string[];
  /**
   * Called for every response: before its headers are sent, or before a session middleware saves if that is earlier. It may write
   * nothing. It is called once, with one exception. A `serverSide` carrier is called again if the headers were built before all
   * writes had ended. The last call counts.
   */
  write(request: CarrierRequest, response: CarrierResponse, token: OutgoingToken): void;
  /** Keeps the user in one part of a rollout for longer than a token is in force. Without it, the app has to name its users. */
  readonly membership?: MembershipCarrier;
}

/** Carries in which part of a rollout a user is. Its methods should not throw. */
export interface MembershipCarrier {
  /** The text that an earlier response has brought, unchecked. Undefined if there is none. */
  read(request: CarrierRequest): string | undefined;
  /** Makes `response` bring the text, unless other users may get the same response. */
  write(request: CarrierRequest, response: CarrierResponse, text: string): void;
}

/** The headers that shared caches obey instead of `Cache-Control`, and the value that keeps a response out of each cache. */
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
 * Keeps a response out of caches that several users share. Carriers call it for a response with a token. The user's own browser
 * may still cache the response.
 */
export function keepFromSharedCaches(response: CarrierResponse): void {
  const given = response.getHeader("Cache-Control");
  const cacheControl = given === undefined ? "private" : forOneUser(String(given));
  if (cacheControl !== given) response.setHeader("Cache-Control", cacheControl);
  for (const [name, value] of targeted)
    if (response.getHeader(name) !== undefined) response.setHeader(name, value);
}

/** Whether the app lets caches that several users share store the response. */
export function isForSharedCaches(response: CarrierResponse): boolean {
  if (targeted.some(([name]) => response.getHeader(name) !== undefined)) return true;
  return /\b(public|s-maxage)\b/i.test(String(response.getHeader("Cache-Control") ?? ""));
}

const directive = /^[!#$%&'*+.^`|~\w-]+(=([!#$%&'*+.^`|~\w-]+|"([^"\\]|\\.)*"))?$/;
const forOthers = new Set(["public", "s-maxage", "private"]);

function forOneUser(cacheControl: string): string {
  const parts = cacheControl.match(/("([^"\\]|\\.)*"|[^,])+/g) ?? [];
  const directives = parts.map((part) => part.trim()).filter((part) => part !== "");
  // Caches differ in how they read an invalid list.
  if (!directives.every((one) => directive.test(one))) return "private, no-store";
  const names = directives.map((one) => one.toLowerCase());
  const kept = directives.filter((_one, at) => !forOthers.has(names[at]?.split("=", 1)[0] ?? ""));
  const isKept = names.includes("no-store") && !names.includes("must-understand");
  // With "must-understand" a cache may store a response despite "no-store".
  if (isKept && kept.length === directives.length) return cacheControl;
  return ["private", ...kept].join(", ");
}
