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

const sealedPattern = /^[\w-]{1,1536}$/;
/** As many of the longest tokens fit into the head of a request that servers accept. */
const maxHeld = 32;
/** As of `fetch`. */
const maxRedirects = 20;
const redirects = new Set([301, 302, 303, 307, 308]);

/**
 * Returns a `fetch` that sends the tokens it holds and keeps those that come. A token takes the place of those that its
 * own request sent and of no others, so that responses may come in any order. As each request under way may bring one
 * more, those that would make more than 32 wait for another's response. Other origins are sent no tokens.
 *
 * Where there is no page, redirects are followed here, so that the token of a response that redirects is kept, too. In
 * a page the browser follows them and shows scripts nothing of it: there `cookie()` belongs beside `header()`, and tokens
 * follow a redirect to another origin if its CORS allows their header. Throws a `TypeError` for an origin that is none.
 */
export function consistentFetch(options: ConsistentFetchOptions = {}): ConsistentFetch {
  const { header = "Consistency-Token", fetch: given } = options;
  const page = pageAddress();
  const origins = originsOf(options.origins ?? page);
  const held = new Set<string>();
  const hold = (tokens: string): void => {
    for (const one of tokens.split(",")) if (isToken(one)) held.add(one.trim());
  };
  const turns = new Turns(held);

  const exchange: typeof fetch = async (input, init) => {
    const send = given ?? fetch;
    const request = requestIn(input);
    const address = request?.url ?? String(input);
    if (!isAmong(origins, address, page)) return send(input, init);
    return turns.take(init?.signal ?? request?.signal, async () => {
      const sent = [...held];
      const headers = new Headers(init?.headers ?? request?.headers);
      if (sent.length > 0) headers.append(header, sent.join(", "));
      const response = await send(input, { ...init, headers });
      if (!isAmong(origins, response.url || address, page)) return response;
      const brought = response.headers.get(header) ?? "";
      if (!brought.split(",").some(isToken)) return response;
      for (const one of sent) held.delete(one);
      hold(brought);
      return response;
    });
  };
  const consistent: typeof fetch = (input, init) =>
    page === undefined ? follow(exchange, header, [input, init]) : exchange(input, init);
  return Object.defineProperty(Object.assign(consistent, { token: "", add: hold }), "token", {
    get: () => [...held].join(","),
  });
}

/** Lets requests begin only while what they may bring can still be sent at once. */
class Turns {
  readonly #held: ReadonlySet<string>;
  #underWay = 0;
  #waiting: (() => void)[] = [];

  constructor(held: ReadonlySet<string>) {
    this.#held = held;
  }

  async take<R>(signal: AbortSignal | null | undefined, fn: () => Promise<R>): Promise<R> {
    while (this.#underWay > 0 && this.#held.size + this.#underWay >= maxHeld && !signal?.aborted) {
      await this.#change(signal);
    }
    this.#underWay += 1;
    try {
      return await fn();
    } finally {
      this.#underWay -= 1;
      for (const go of this.#waiting.splice(0)) go();
    }
  }

  #change(signal: AbortSignal | null | undefined): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        signal?.removeEventListener("abort", go);
        resolve();
      };
      signal?.addEventListener("abort", go);
      this.#waiting.push(go);
    });
  }
}

/** What the next request of a chain of redirects is made of. */
interface Hop {
  readonly address: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: RequestInit["body"];
}

/** Follows redirects as `fetch` does, by an exchange for each hop. */
async function follow(
  exchange: typeof fetch,
  header: string,
  [input, init]: Parameters<typeof fetch>,
): Promise<Response> {
  const request = requestIn(input);
  const mode = init?.redirect ?? request?.redirect;
  const signal = init?.signal ?? request?.signal ?? null;
  // A request gives its body only once, and hops may need it again.
  const body = init?.body ?? (request?.body ? await request.arrayBuffer() : null);
  let response = await exchange(input, { ...init, body, redirect: "manual" });
  if (mode === "manual" || !redirects.has(response.status)) return response;

  let hop: Hop = {
    address: new URL(request?.url ?? String(input)),
    method: init?.method ?? request?.method ?? "GET",
    headers: new Headers(init?.headers ?? request?.headers),
    body,
  };
  for (let count = 0; redirects.has(response.status); count += 1) {
    const location = response.headers.get("Location");
    if (location === null) break;
    response.body?.cancel().catch(() => {});
    if (mode === "error" || count === maxRedirects) throw new TypeError(`One redirect too many: ${location}`);
    hop = hopTo(new URL(location, hop.address), hop, response.status, header);
    const { address, ...rest } = hop;
    response = await exchange(address, { ...init, ...rest, signal, redirect: "manual" });
    Object.defineProperty(response, "redirected", { value: true });
  }
  return response;
}

/** The rules of the Fetch standard, section "HTTP-redirect fetch". */
function hopTo(
  address: URL,
  { address: from, method, headers, body }: Hop,
  status: number,
  header: string,
): Hop {
  if (!/^https?:$/.test(address.protocol)) throw new TypeError(`A redirect to no website: ${address.href}`);
  if (status !== 303 && typeof body === "object" && body !== null && Symbol.asyncIterator in body) {
    throw new TypeError("A body that is a stream can not be sent again after a redirect.");
  }
  const kept = new Headers(headers);
  if (address.origin !== from.origin) {
    for (const name of ["Authorization", "Proxy-Authorization", "Cookie", "Host", header]) kept.delete(name);
  }
  const isRead = /^(get|head)$/i.test(method);
  if (!(status === 303 ? !isRead : status < 303 && /^post$/i.test(method)))
    return { address, method, headers: kept, body };
  for (const name of ["Encoding", "Language", "Length", "Location", "Type"]) kept.delete(`Content-${name}`);
  return { address, method: "GET", headers: kept, body: null };
}

function requestIn(input: Parameters<typeof fetch>[0]): Request | undefined {
  return typeof input === "object" && "url" in input ? input : undefined;
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
