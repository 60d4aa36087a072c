/** Tokens in a header, for clients that store them themselves: other services, mobile apps, scripts of a page. */
import { InvalidOptionError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import { unsent } from "../../session/token.js";
import { type Carrier, type CarrierRequest, keepFromSharedCaches } from "./carrier.js";

export interface HeaderOptions {
  /** The name of the header in both directions; default `"Consistency-Token"`. */
  readonly name?: string;
}

const defaultName = "Consistency-Token";
const noTokens: readonly string[] = [];
/** Headers with a meaning for servers, browsers or proxies. A token in one of them would break messages or be lost. */
const taken =
  /^(accept|access-control|cache|cdn-cache|content|if|proxy|sec|surrogate)-|^(accept|age|allow|alt-svc|authorization|connection|cookie2?|date|etag|expect|expires|forwarded|from|host|keep-alive|last-modified|link|location|origin|pragma|priority|range|referer|retry-after|server|set-cookie2?|strict-transport-security|te|trailer|transfer-encoding|upgrade|user-agent|vary|via|warning|www-authenticate|x-forwarded-\w+)$/;
const tokenPattern = /^[\w-]{1,1536}$/;
/** A client has more tokens than this only while more writes than this are in flight. */
const maxKept = 8;
/**
 * If the tokens of a request are longer than this together, in characters, they are merged, because servers and proxies refuse long
 * headers. A single token is always shorter.
 */
const maxKeptLength = 2_000;

/**
 * Sends tokens in a header. A response brings the token of its session if its request wrote or, with `monotonicReads`, read newer
 * data. The token contains all tokens that the request sent. The client stores the new token instead of the tokens of the request,
 * and also keeps the tokens that other responses brought meanwhile. With each request the client sends all its tokens, separated by
 * commas.
 *
 * A text that this process cannot decrypt is returned unchanged, because another process may have encrypted it with a newer secret.
 * If there are more than 8 such texts, `*` stands for the rest. A response without a new token brings no token and stays cacheable,
 * with two exceptions. If the request has more than 8 tokens, the response merges them into one. If a token was encrypted with an
 * older secret, the response encrypts it again. A response with a token gets `Cache-Control: private`. Throws an
 * `InvalidOptionError` for an invalid name of a header, and for a name with another meaning, such as `Cookie`.
 */
export function header(options: HeaderOptions = {}): Carrier {
  refuseUnknown("header", options, ["name"]);
  const { name = defaultName } = options;
  if (typeof name !== "string" || !/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) {
    throw new InvalidOptionError(
      "header name",
      name,
      'Pass the name of a header, such as "Consistency-Token"',
    );
  }
  const key = name.toLowerCase();
  if (taken.test(key))
    throw new InvalidOptionError(
      "header name",
      name,
      'Pass another name, such as "Consistency-Token"',
      "got the name of a header that has another meaning",
    );

  return {
    read: (request) => carriedBy(request, key),

    write(request, response, token) {
      const carried = carriedBy(request, key);
      if (!token.changed && !token.usesOldSecret && !areTooMany(carried)) return;
      const text = token.text();
      if (text === "") return;
      const merged = token.contained();
      const foreign = carried.filter((one) => one !== unsent && !merged.has(one));
      // An omitted text may be the one that requires the most.
      if (foreign.length > maxKept) foreign.splice(maxKept, foreign.length, unsent);
      response.setHeader(name, [text, ...foreign].join(", "));
      keepFromSharedCaches(response);
    },
  };
}

function carriedBy({ headers }: CarrierRequest, key: string): readonly string[] {
  const lines = headers[key];
  if (lines === undefined) return noTokens;
  const tokens = String(lines).split(",");
  return tokens.map((one) => one.trim()).filter((one) => one === unsent || tokenPattern.test(one));
}

/** Whether a client should get one token that replaces all tokens it sent. */
function areTooMany(carried: readonly string[]): boolean {
  return carried.length > maxKept || carried.includes(unsent) || carried.join().length > maxKeptLength;
}
