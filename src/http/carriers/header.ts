/** Tokens in a header, for clients that keep them by themselves: other services, mobile apps, scripts of a page. */
import { InvalidOptionError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import { unsent } from "../../session/token.js";
import { type Carrier, type CarrierRequest, keepFromSharedCaches } from "./carrier.js";

export interface HeaderOptions {
  /** The name of the header in both directions; default `"Consistency-Token"`. */
  readonly name?: string;
}

const defaultName = "Consistency-Token";
/** Headers that servers, browsers and proxies act on: a token in one of them would break messages or be lost. */
const taken =
  /^(accept|access-control|cache|cdn-cache|content|if|proxy|sec|surrogate)-|^(accept|age|allow|alt-svc|authorization|connection|cookie2?|date|etag|expect|expires|forwarded|from|host|keep-alive|last-modified|link|location|origin|pragma|priority|range|referer|retry-after|server|set-cookie2?|strict-transport-security|te|trailer|transfer-encoding|upgrade|user-agent|vary|via|warning|www-authenticate|x-forwarded-\w+)$/;
const sealedPattern = /^[\w-]{1,1536}$/;
/** A client has more only while more writes than this are in flight. */
const maxKept = 8;
/** Longer than any one token: more would soon be refused by servers and proxies. */
const maxKeptLength = 2_000;

/**
 * A response that wrote, or has read what is newer where reads are monotonic, brings the token of its session, which
 * stands for all those its request has brought: a client keeps it in their place, beside those that other responses
 * brought meanwhile, and sends all it has, separated by commas. Texts that this process cannot decrypt come back unchanged,
 * because they may have been encrypted with a secret that this process does not have yet. Of more than 8 such texts `*` stands
 * for the rest. Any other response brings no token and stays cacheable, with two exceptions. A response to more than 8 tokens
 * merges them into one. A response to a token of an older secret encrypts it again. Where a token is brought, `Cache-Control` becomes `private`.
 * Throws an `InvalidOptionError` for a name that no header can have, and for one with another meaning, such as `Cookie`.
 */
export function header(options: HeaderOptions = {}): Carrier {
  refuseUnknown("header", options, ["name"]);
  const { name = defaultName } = options;
  if (typeof name !== "string" || !/^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) {
    throw new InvalidOptionError(
      "header name",
      name,
      'give the name of a header, such as "Consistency-Token"',
    );
  }
  const key = name.toLowerCase();
  if (taken.test(key))
    throw new InvalidOptionError(
      "header name",
      name,
      'give a name of its own, such as "Consistency-Token"',
      "got the name of a header that has another meaning",
    );

  return {
    read: (request) => carriedBy(request, key),

    write(request, response, token) {
      const carried = carriedBy(request, key);
      if (!token.changed && !token.usesOldSecret && !isTooMuch(carried)) return;
      const text = token.text();
      if (text === "") return;
      const merged = token.contained();
      const foreign = carried.filter((one) => one !== unsent && !merged.has(one));
      // One of those that are left out may be the one that counts.
      if (foreign.length > maxKept) foreign.splice(maxKept, foreign.length, unsent);
      response.setHeader(name, [text, ...foreign].join(", "));
      keepFromSharedCaches(response);
    },
  };
}

function carriedBy({ headers }: CarrierRequest, key: string): string[] {
  const lines = headers[key];
  if (lines === undefined) return [];
  const tokens = String(lines).split(",");
  return tokens.map((one) => one.trim()).filter((one) => one === unsent || sealedPattern.test(one));
}

/** Whether a client would do better with one token in the place of all that it sent. */
function isTooMuch(carried: readonly string[]): boolean {
  return carried.length > maxKept || carried.includes(unsent) || carried.join().length > maxKeptLength;
}
