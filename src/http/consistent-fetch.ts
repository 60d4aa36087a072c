/** A `fetch` that keeps tokens, for clients without cookies and for services on several hosts. It also runs in browsers. */

export interface ConsistentFetchOptions {
  /**
   * The origins that exchange tokens with this client, such as `"https://api.example.com"`. All of them must share one secret.
   * Default: the origin of the page. Required outside of a page.
   */
  readonly origins?: string | readonly string[];
  /** The name that you pass to `header()`; default `"Consistency-Token"`. */
  readonly header?: string;
  /** The function that sends requests; default the global `fetch` at the time of each call. */
  readonly fetch?: typeof fetch;
}

/** A `fetch` that keeps tokens. */
export interface ConsistentFetch {
  (...args: Parameters<typeof fetch>): Promise<Response>;
  /** All tokens that this `fetch` has, to pass to a websocket or a job. Empty if there are none. */
  readonly token: string;
  /** Adds a token that arrived in another way. Ignores a text that is no token. */
  add(token: string): void;
}

const optionNames = ["origins", "header", "fetch"];
const tokenPattern = /^[\w-]{1,1536}$/;
/** Sent instead of too many tokens. The server then reads from the primary and answers with one token. */
const unsent = "*";
const maxHeld = 32;
/** The longest list of tokens to send, in characters. Servers and proxies accept headers of 8 kB. */
const maxLength = 6_000;
/** How long a request waits for tokens to be merged before it is sent anyway. */
const maxWaitMs = 1_000;
/** The most redirects that are followed, as by `fetch`. */
const maxRedirects = 20;
const redirects = new Set([301, 302, 303, 307, 308]);

/**
 * Returns a `fetch` that sends the tokens it has and stores the tokens of responses. A new token replaces only the tokens that its
 * own request sent, so responses may arrive in any order. The response to each request under way may bring one more token. If there
 * could be more than 32 tokens, or more than 6,000 characters, a request waits up to a second for another response. Other origins
 * get no tokens.
 *
 * If there are too many tokens anyway, or a server answers 431, the `fetch` forgets its tokens and sends `*` instead. The primary
 * then answers reads until a response has brought a token. After a 431 the request is repeated once if its method is idempotent and
 * its body is no stream.
 *
 * Outside of a page, this function follows redirects itself, so it also stores the token of a response that redirects. In a page
 * the browser follows them and hides these responses from scripts. Use `cookie()` together with `header()` there. The browser sends
 * tokens on to another origin after a redirect if the CORS rules of that origin allow the header. Throws a `TypeError` for an
 * unknown or invalid option.
 */
export function consistentFetch(options: ConsistentFetchOptions = {}): ConsistentFetch {
  checkOptionNames(options);
  const { header = "Consistency-Token", fetch: given } = options;
  const page = pageAddress();
  const origins = originsOf(options.origins ?? page);
  checkHeader(header);
  if (given !== undefined && typeof given !== "function")
    throw new TypeError("fetch: got no function. Pass a function such as fetch itself.");
  const held = new HeldTokens();
  const gate = new RequestGate(held);

  const exchange: typeof fetch = async (input, init) => {
    const send = given ?? fetch;
    const request = requestIn(input);
    const address = request?.url ?? String(input);
    if (!isAmong(origins, address, page)) return send(input, init);
    const ask = ({ texts }: Sent): Promise<Response> => {
      const headers = new Headers(init?.headers ?? request?.headers);
      if (texts.length > 0) headers.append(header, texts.join(", "));
      return send(input, { ...init, headers });
    };
    return gate.pass(init?.signal ?? request?.signal, async () => {
      let sent = held.toSend();
      let response = await ask(sent);
      if (response.status === 431 && sent.texts.some((one) => one !== unsent)) {
        held.forget();
        if (isRepeatable(init, request)) {
          sent = held.toSend();
          response.body?.cancel().catch(() => {});
          response = await ask(sent);
        }
      }
      if (!isAmong(origins, response.url || address, page)) return response;
      const brought = response.headers.get(header) ?? "";
      if (!brought.split(",").some(isToken)) return response;
      held.replace(sent, brought);
      return response;
    });
  };
  const consistent: typeof fetch = (input, init) =>
    page === undefined ? follow(exchange, header, [input, init]) : exchange(input, init);
  return Object.defineProperty(
    Object.assign(consistent, { token: "", add: (token: string) => held.add(token) }),
    "token",
    {
      get: () => held.toSend().texts.join(","),
    },
  );
}

/** The tokens that a request was sent with. */
interface Sent {
  readonly texts: readonly string[];
  /** How many times tokens had been forgotten before. */
  readonly forgets: number;
}

/** The tokens of one user, never more than one request can send. */
class HeldTokens {
  readonly #tokens = new Set<string>();
  #longest = 0;
  #forgets = 0;

  toSend(): Sent {
    return { texts: [...this.#tokens], forgets: this.#forgets };
  }

  /** Replaces the tokens that were sent by the tokens in `brought`. */
  replace({ texts, forgets }: Sent, brought: string): void {
    // A new token does not contain tokens that were forgotten after its request was sent.
    for (const one of texts) if (one !== unsent || forgets === this.#forgets) this.#tokens.delete(one);
    this.add(brought);
  }

  add(brought: string): void {
    if (typeof brought !== "string") return;
    for (const one of brought.split(",").map((text) => text.trim())) {
      if (!isToken(one) && one !== unsent) continue;
      this.#tokens.add(one);
      this.#longest = Math.max(this.#longest, one.length + 2);
      if (!this.hasRoomFor(0)) this.forget();
    }
  }

  /** Whether there is room for one more token from each of this many responses. */
  hasRoomFor(responses: number): boolean {
    if (this.#tokens.size + responses > maxHeld) return false;
    let length = 0;
    for (const one of this.#tokens) length += one.length + 2;
    return length + responses * this.#longest <= maxLength;
  }

  /** Replaces all tokens by `*`, which requires more than any token. */
  forget(): void {
    this.#forgets += 1;
    this.#tokens.clear();
    this.#tokens.add(unsent);
  }
}

/** Delays a request while its response may bring a token for which there is no room. */
class RequestGate {
  readonly #held: HeldTokens;
  #underWay = 0;
  #waiting: (() => void)[] = [];

  constructor(held: HeldTokens) {
    this.#held = held;
  }

  async pass<R>(signal: AbortSignal | null | undefined, fn: () => Promise<R>): Promise<R> {
    const until = performance.now() + maxWaitMs;
    while (this.#underWay > 0 && !this.#held.hasRoomFor(this.#underWay + 1) && !signal?.aborted) {
      const ms = until - performance.now();
      // The responses under way may never arrive. Too many tokens then become `*`.
      if (ms <= 0) break;
      await this.#change(signal, ms);
    }
    this.#underWay += 1;
    try {
      return await fn();
    } finally {
      this.#underWay -= 1;
      for (const go of this.#waiting.splice(0)) go();
    }
  }

  /** Resolves when a response has arrived, when `signal` is aborted, or after `ms`. */
  #change(signal: AbortSignal | null | undefined, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", go);
        resolve();
      };
      const timer = setTimeout(go, ms);
      signal?.addEventListener("abort", go);
      this.#waiting.push(go);
    });
  }
}

/** The next request of a chain of redirects. */
interface Hop {
  readonly address: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: RequestInit["body"];
}

/** Follows redirects as `fetch` does, with one exchange for each hop. */
async function follow(
  exchange: typeof fetch,
  header: string,
  [input, init]: Parameters<typeof fetch>,
): Promise<Response> {
  const request = requestIn(input);
  const mode = init?.redirect ?? request?.redirect;
  const signal = init?.signal ?? request?.signal ?? null;
  // The body of a request can be read only once, and the next hops may need it again.
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
    if (mode === "error" || count === maxRedirects) {
      const why = mode === "error" ? 'redirect is "error"' : `there were more than ${maxRedirects} redirects`;
      throw new TypeError(`The redirect to ${location} was not followed, because ${why}.`);
    }
    hop = hopTo(new URL(location, hop.address), hop, response.status, header);
    const { address, ...rest } = hop;
    response = await exchange(address, { ...init, ...rest, signal, redirect: "manual" });
    Object.defineProperty(response, "redirected", { value: true });
  }
  return response;
}

/** The next request, by the rules of the Fetch standard, section "HTTP-redirect fetch". */
function hopTo(
  address: URL,
  { address: from, method, headers, body }: Hop,
  status: number,
  header: string,
): Hop {
  if (!/^https?:$/.test(address.protocol))
    throw new TypeError(
      `The redirect to ${address.href} was not followed, because only http and https are supported.`,
    );
  if (status !== 303 && typeof body === "object" && body !== null && Symbol.asyncIterator in body) {
    throw new TypeError(
      "The redirect was not followed, because a body that is a stream cannot be sent twice. Pass the body as a string or Blob.",
    );
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

/** Whether a refused request may be sent again and still has its body. */
function isRepeatable(init: RequestInit | undefined, request: Request | undefined): boolean {
  const method = init?.method ?? request?.method ?? "GET";
  if (/^(get|head|options)$/i.test(method)) return true;
  const body = init?.body ?? undefined;
  const isGone = body === undefined ? request !== undefined : isStream(body);
  return /^(put|delete)$/i.test(method) && !isGone;
}

function isStream(body: unknown): boolean {
  if (typeof body !== "object" || body === null) return false;
  return body instanceof ReadableStream || Symbol.asyncIterator in body;
}

function requestIn(input: Parameters<typeof fetch>[0]): Request | undefined {
  return typeof input === "object" && "url" in input ? input : undefined;
}

function checkOptionNames(options: object): void {
  for (const name in options) {
    if (optionNames.includes(name)) continue;
    // Only a plain name is shown, because anything else may be a misplaced secret.
    const problem = /^[a-z]{1,40}$/i.test(name)
      ? `there is no option "${name}"`
      : "there is an option with an unknown name (not shown, because it may be a secret)";
    throw new TypeError(`consistentFetch: ${problem}. The options are ${optionNames.join(", ")}.`);
  }
}

function isToken(text: string): boolean {
  return tokenPattern.test(text.trim());
}

/** The address of the page. Undefined outside of a page. */
function pageAddress(): string | undefined {
  const scope: object = globalThis;
  const page = "location" in scope ? scope.location : undefined;
  if (typeof page !== "object" || page === null || !("href" in page)) return undefined;
  return String(page.href);
}

const originRemedy = 'Pass origins such as "https://api.example.com" or "http://localhost:3000"';

function originsOf(given: unknown): ReadonlySet<string> {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (list.length === 0) throw new TypeError(`consistentFetch origins: got an empty list. ${originRemedy}.`);
  return new Set(list.map(originOf));
}

/** Checks the protocol, because `localhost:3000` is a URL too: its scheme is `localhost:`, and it has no origin. */
function originOf(given: unknown): string {
  try {
    const { protocol, origin } = new URL(String(given));
    if (protocol === "http:" || protocol === "https:") return origin;
  } catch {
    // A text that is no URL gets the same error as a URL with another protocol.
  }
  throw new TypeError(
    `consistentFetch origins: got ${given === undefined ? "nothing" : "a value without http:// or https://"}. ${originRemedy}.`,
  );
}

function checkHeader(name: unknown): void {
  if (typeof name === "string" && /^[\w!#$%&'*+.^`|~-]{1,100}$/.test(name)) return;
  throw new TypeError('header: got no valid header name. Pass one such as "Consistency-Token".');
}

function isAmong(origins: ReadonlySet<string>, address: string, page: string | undefined): boolean {
  try {
    return origins.has(new URL(address, page).origin);
  } catch {
    return false;
  }
}
