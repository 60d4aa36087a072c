/** The cookies of one browser, kept by the rules of RFC 6265bis. */

interface Stored {
  readonly name: string;
  readonly value: string;
  readonly domain: string;
  readonly hostOnly: boolean;
  readonly path: string;
  readonly secure: boolean;
  /** On the monotonic clock. */
  readonly expiresAt: number;
  readonly createdAt: number;
}

/** As Chrome has it. */
const maxOfDomain = 180;

export class CookieJar {
  readonly #stored = new Map<string, Stored>();
  #created = 0;

  /** The `Cookie` header of a request to `url`; undefined without cookies. */
  header(url: string): string | undefined {
    const sent = this.#of(url);
    return sent.length === 0 ? undefined : sent.map(({ name, value }) => `${name}=${value}`).join("; ");
  }

  /** The names of what a request to `url` sends. */
  names(url: string): string[] {
    return this.#of(url).map(({ name }) => name);
  }

  /** Takes in the lines of Set-Cookie that a response from `url` has. */
  receive(url: string, lines: readonly string[] = []): void {
    for (const line of lines) this.#set(new URL(url), line);
  }

  #of(url: string): Stored[] {
    const { hostname, pathname, protocol } = new URL(url);
    const now = performance.now();
    return [...this.#stored.values()]
      .filter(({ expiresAt }) => expiresAt > now)
      .filter(({ domain, hostOnly }) => (hostOnly ? domain === hostname : isWithin(hostname, domain)))
      .filter(({ path }) => isBelow(pathname, path))
      .filter(({ secure }) => !secure || protocol === "https:")
      .sort((one, other) => other.path.length - one.path.length || one.createdAt - other.createdAt);
  }

  #set({ hostname, pathname, protocol }: URL, line: string): void {
    const [pair = "", ...rest] = line.split(";").map((part) => part.trim());
    const [name, value] = halves(pair);
    const given = new Map(rest.map((part) => [halves(part)[0].toLowerCase(), halves(part)[1]]));
    const domain = given.get("domain")?.replace(/^\./, "").toLowerCase();
    const path = given.get("path")?.startsWith("/") ? (given.get("path") ?? "/") : directoryOf(pathname);
    const secure = given.has("secure");
    if (domain !== undefined && !isWithin(hostname, domain)) return;
    if (secure && protocol !== "https:") return;
    if (/^__secure-/i.test(name) && !secure) return;
    if (/^__host-/i.test(name) && (!secure || domain !== undefined || path !== "/")) return;
    const stored: Stored = {
      name,
      value,
      domain: domain ?? hostname,
      hostOnly: domain === undefined,
      path,
      secure,
      expiresAt: performance.now() + 1000 * Number(given.get("max-age") ?? Number.POSITIVE_INFINITY),
      createdAt: this.#created++,
    };
    if (!secure && protocol !== "https:" && this.#isShadowed(stored)) return;
    this.#keep(stored);
  }

  /** Whether there is a secure one that a page without encryption may not hide. */
  #isShadowed({ name, domain, path }: Stored): boolean {
    return [...this.#stored.values()].some(
      (one) =>
        one.secure &&
        one.name === name &&
        (isWithin(one.domain, domain) || isWithin(domain, one.domain)) &&
        isBelow(path, one.path),
    );
  }

  #keep(stored: Stored): void {
    const key = [stored.name, stored.domain, stored.hostOnly, stored.path].join("|");
    const before = this.#stored.get(key);
    if (stored.expiresAt <= performance.now()) this.#stored.delete(key);
    else this.#stored.set(key, { ...stored, createdAt: before?.createdAt ?? stored.createdAt });
    this.#evict(stored.domain);
  }

  /** Drops the oldest of a site that has too many, whichever of its hosts set them. */
  #evict(domain: string): void {
    const site = siteOf(domain);
    const ofSite = [...this.#stored].filter(([, one]) => siteOf(one.domain) === site);
    ofSite.sort(([, one], [, other]) => one.createdAt - other.createdAt);
    for (const [key] of ofSite.slice(0, Math.max(0, ofSite.length - maxOfDomain))) this.#stored.delete(key);
  }
}

function halves(text: string): [string, string] {
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

function isWithin(host: string, domain: string): boolean {
  return host === domain || (host.endsWith(`.${domain}`) && !/^[\d.]+$/.test(host));
}

function isBelow(path: string, of: string): boolean {
  return path === of || path.startsWith(of.endsWith("/") ? of : `${of}/`);
}

function directoryOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

/** The last two labels: no test needs the list of public suffixes. */
function siteOf(domain: string): string {
  return domain.split(".").slice(-2).join(".");
}
