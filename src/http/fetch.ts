/** Tokens of a client that has no cookies for them, or whose services are on several hosts. Runs in browsers, too. */

export interface ConsistentFetchOptions {
  /**
   * Whom tokens are sent to and taken from, such as `"https://api.example.com"`; all of them have to share one secret.
   * Default: the origin of the page; required where there is no page.
   */
  readonly origins?: string | readonly string[];
  /** The name given to `header()`; default `"Consistency-Token"`. */
  readonly header?: string;
  /** What really sends; default the `fetch` there is at each call. */
  readonly fetch?: typeof fetch;
}

/** A `fetch` that remembers. */
export interface ConsistentFetch {
  (...args: Parameters<typeof fetch>): Promise<Response>;
  /** All that is held, for a websocket or a job; empty when nothing is. */
  readonly token: string;
  /** Adds what came in another way; texts that are no tokens are passed over. */
  add(token: string): void;
}

const sealedPattern = /^[\w-]{1,1024}$/;

/**
 * Returns a `fetch` that sends the tokens it holds and keeps those that come. A token takes the place of those that its
 * own request sent and of no others, so that responses may come in any order. Other origins are sent no tokens, unless a
 * redirect leads there. The token of a response that redirects is out of reach of scripts. Throws a `TypeError` for an
 * origin that is none.
 */
export function consistentFetch(options: ConsistentFetchOptions = {}): ConsistentFetch {
  const { header = "Consistency-Token", fetch: given } = options;
  const page = pageAddress();
  const origins = originsOf(options.origins ?? page);
  const held = new Set<string>();
  const hold = (tokens: string): void => {
    for (const one of tokens.split(",")) if (isToken(one)) held.add(one.trim());
  };

  const consistent = async (...[input, init]: Parameters<typeof fetch>): Promise<Response> => {
    const send = given ?? fetch;
    const request = typeof input === "object" && "url" in input ? input : undefined;
    if (!isAmong(origins, request?.url ?? String(input), page)) return send(input, init);
    const sent = [...held];
    const headers = new Headers(init?.headers ?? request?.headers);
    if (sent.length > 0) headers.append(header, sent.join(", "));
    const response = await send(input, { ...init, headers });
    if (!isAmong(origins, response.url, page)) return response;
    const brought = response.headers.get(header);
    if (brought === null) return response;
    if (!brought.split(",").some(isToken)) return response;
    for (const one of sent) held.delete(one);
    hold(brought);
    return response;
  };
  return Object.defineProperty(Object.assign(consistent, { token: "", add: hold }), "token", {
    get: () => [...held].join(","),
  });
}

function isToken(text: string): boolean {
  return sealedPattern.test(text.trim());
}

/** Undefined where there is no page. */
function pageAddress(): string | undefined {
  const scope: object = globalThis;
  const page = "location" in scope ? scope.location : undefined;
  if (typeof page !== "object" || page === null || !("href" in page)) return undefined;
  return String(page.href);
}

function originsOf(given: string | readonly string[] | undefined): ReadonlySet<string> {
  if (given === undefined)
    throw new TypeError('origins: got nothing; give such as "https://api.example.com".');
  return new Set((typeof given === "string" ? [given] : given).map((one) => new URL(one).origin));
}

function isAmong(origins: ReadonlySet<string>, address: string, page: string | undefined): boolean {
  try {
    return origins.has(new URL(address, page).origin);
  } catch {
    return false;
  }
}
