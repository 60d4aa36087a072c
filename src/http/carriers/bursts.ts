/** Groups responses to requests with the same cookies, because one browser may get them all at once. */
import { createHash } from "node:crypto";
import type { CarrierRequest, OutgoingToken } from "./carrier.js";

/** The texts that were given to requests with the same cookies, which may all come from one browser. */
interface Burst {
  /** The time of the latest text, on the monotonic clock. */
  lastAt: number;
  /** The texts of exact tokens. */
  readonly exact: Set<string>;
  /** The rounded tokens, by the histories of their positions. */
  readonly rounded: Map<string, Rounding>;
}

/** How far the tokens of one burst with the same histories are rounded. */
interface Rounding {
  level: number;
  /** The texts of this level. */
  texts: Set<string>;
}

/** A request that a browser sent before it got the latest response arrives within this time. */
const onTheWayMs = 250;
/** After a pause of this length, the next response starts a new burst. */
const rememberedMs = 15_000;
const maxBursts = 10_000;
const textsPerLevel = 2;
/** Headers that tell browsers without cookies apart. They only decide how exact a token is. */
const marks = ["cookie", "x-forwarded-for", "forwarded", "user-agent", "accept-language"] as const;

/** Stores at most 10,000 bursts, each for 15 seconds after its latest response. */
export class Bursts {
  /** In the order of their latest responses. */
  readonly #bursts = new Map<string, Burst>();

  /**
   * The text of `token` for a response to `request`. The first `exact` texts of a burst are exact, later ones are more and more
   * rounded.
   */
  textFor(request: CarrierRequest, token: OutgoingToken, exact: number): string {
    const burst = this.#burstOf(request, token.arrivedAt);
    if (burst.exact.size >= exact) return roundedIn(burst, token, exact);
    const text = token.text();
    burst.exact.add(text);
    return text;
  }

  /**
   * The burst that `request` belongs to. A request that arrives after all others were answered starts a new burst. It comes from
   * another browser, because the same browser would send a text that it has got.
   */
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

/** A rounded text. If `exact` is negative, the text is rounded more from the beginning. */
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

/** A digest, because the headers of 10,000 requests would take too much memory. */
function keyOf({ headers, socket }: CarrierRequest): string {
  const said = [...marks.map((name) => headers[name]), addressOf(socket)];
  return createHash("sha1").update(said.join("\n")).digest("base64");
}

function addressOf(socket: object | null | undefined): unknown {
  const isKnown = typeof socket === "object" && socket !== null && "remoteAddress" in socket;
  return isKnown ? socket.remoteAddress : undefined;
}
