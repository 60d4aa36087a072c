/** Responses to requests with the same cookies: one browser may get them all at once. */
import { createHash } from "node:crypto";
import type { CarrierRequest, OutgoingToken } from "./carrier.js";

/** What was given to requests with the same cookies that may all be of one browser. */
interface Burst {
  /** When the latest text was given, on the monotonic clock. */
  lastAt: number;
  /** The exact texts. */
  readonly exact: Set<string>;
  /** By the histories that they have positions of. */
  readonly rounded: Map<string, Rounding>;
}

/** How far the tokens of a burst that have the same histories are rounded. */
interface Rounding {
  level: number;
  /** The texts of this level. */
  texts: Set<string>;
}

/** A browser sends what it was given with all requests that it makes later. This is how long that takes to show here. */
const onTheWayMs = 250;
/** A response may take so long that the others of its burst are forgotten. */
const rememberedMs = 15_000;
const maxBursts = 10_000;
const textsPerLevel = 2;
/** Tell browsers apart that have no cookies yet. Only how exact a token is depends on these headers. */
const marks = ["cookie", "x-forwarded-for", "forwarded", "user-agent", "accept-language"] as const;

/** Remembers at most 10,000 bursts, each for 15 seconds after its latest response. */
export class Bursts {
  /** In the order of their latest responses. */
  readonly #bursts = new Map<string, Burst>();

  /** The text of `token` for a response to `request`: exact for the first `exact` of a burst, then more and more rounded. */
  textFor(request: CarrierRequest, token: OutgoingToken, exact: number): string {
    const burst = this.#burstOf(request, token.arrivedAt);
    if (burst.exact.size >= exact) return roundedIn(burst, token, exact);
    const text = token.text();
    burst.exact.add(text);
    return text;
  }

  /** A request that arrives after all others were answered comes from another browser, or it would have brought a text. */
  #burstOf(request: CarrierRequest, arrivedAt: number): Burst {
    const now = performance.now();
    this.#forget(now - rememberedMs);
    const key = keyOf(request);
    const known = this.#bursts.get(key);
    const isOver = known === undefined || arrivedAt > known.lastAt + onTheWayMs;
    const burst = isOver ? { lastAt: now, exact: new Set<string>(), rounded: new Map() } : known;
    burst.lastAt = now;
    this.#bursts.delete(key);
    this.#bursts.set(key, burst);
    return burst;
  }

  #forget(before: number): void {
    for (const [key, { lastAt }] of this.#bursts) {
      if (lastAt > before && this.#bursts.size < maxBursts) return;
      this.#bursts.delete(key);
    }
  }
}

/** A rounded text; coarser from the beginning where fewer than no exact ones may be given. */
function roundedIn({ rounded }: Burst, token: OutgoingToken, exact: number): string {
  const histories = token.histories();
  let rounding = rounded.get(histories);
  if (rounding === undefined) {
    rounding = { level: 1 + Math.floor(Math.max(0, -exact) / textsPerLevel), texts: new Set() };
    rounded.set(histories, rounding);
  }
  let text = token.rounded(rounding.level);
  if (!rounding.texts.has(text) && rounding.texts.size === textsPerLevel) {
    rounding.level += 1;
    rounding.texts = new Set();
    text = token.rounded(rounding.level);
  }
  rounding.texts.add(text);
  return text;
}

/** A digest, because the headers of 10,000 requests would take much memory. */
function keyOf({ headers, socket }: CarrierRequest): string {
  const said = [...marks.map((name) => headers[name]), addressOf(socket)];
  return createHash("sha1").update(said.join("\n")).digest("base64");
}

function addressOf(socket: object | null | undefined): unknown {
  const isKnown = typeof socket === "object" && socket !== null && "remoteAddress" in socket;
  return isKnown ? socket.remoteAddress : undefined;
}
