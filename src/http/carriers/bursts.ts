/** Groups responses to requests with the same cookies, because one browser may get them all at once. */
import { hash } from "node:crypto";
import type { CarrierRequest, OutgoingToken } from "./carrier.js";

/** The texts that were given to requests with the same cookies, which may all come from one browser. */
class Burst {
  readonly key: string;
  /** The time of the latest text, on the monotonic clock. */
  lastAt: number;
  /** The rounded tokens, by the histories of their positions. */
  rounded: Map<string, Rounding> | undefined;
  /** The first text of an exact token. Most bursts have no second, and 10,000 bursts with a set each would take much memory. */
  #first: string | undefined;
  /** The texts of the other exact tokens. */
  #others: Set<string> | undefined;
  #older: Burst = this;
  #newer: Burst = this;

  constructor(key: string, lastAt: number) {
    this.key = key;
    this.lastAt = lastAt;
  }

  /** The next burst in the ring. For the end of the ring, this is the burst whose latest response is the oldest. */
  get newer(): Burst {
    return this.#newer;
  }

  /** Makes this burst the newest in the ring of `end`. */
  enter(end: Burst): void {
    this.#older = end.#older;
    this.#newer = end;
    end.#older.#newer = this;
    end.#older = this;
  }

  /** Takes this burst out of its ring. It must not refer to newer bursts, because they would survive with it. */
  leave(): void {
    this.#older.#newer = this.#newer;
    this.#newer.#older = this.#older;
    this.#older = this;
    this.#newer = this;
  }

  /** How many different texts of exact tokens the burst has. */
  get exactCount(): number {
    return this.#first === undefined ? 0 : 1 + (this.#others?.size ?? 0);
  }

  addExact(text: string): void {
    if (this.#first === undefined) this.#first = text;
    else if (this.#first !== text) {
      this.#others ??= new Set();
      this.#others.add(text);
    }
  }
}

/** How far the tokens of one burst with the same histories are rounded. */
class Rounding {
  level: number;
  /** The texts of this level. */
  texts = new Set<string>();

  constructor(level: number) {
    this.level = level;
  }
}

/** A request that a browser sent before it got the latest response arrives within this time. */
const onTheWayMs = 250;
/** After a pause of this length, the next response starts a new burst. */
const rememberedMs = 15_000;
const maxBursts = 10_000;
const textsPerLevel = 2;

/** Stores at most 10,000 bursts, each for 15 seconds after its latest response. */
export class Bursts {
  readonly #bursts = new Map<string, Burst>();
  /**
   * The end of a ring of all bursts, in the order of their latest responses. The order of the map would do, but each search for its
   * oldest entry passes the places of all deleted entries.
   */
  readonly #end = new Burst("", 0);

  /**
   * The text of `token` for a response to `request`. The first `exact` texts of a burst are exact, later ones are more and more
   * rounded.
   */
  textFor(request: CarrierRequest, token: OutgoingToken, exact: number): string {
    const burst = this.#burstOf(request, token.arrivedAt);
    if (burst.exactCount >= exact) return roundedIn(burst, token, exact);
    const text = token.text();
    burst.addExact(text);
    return text;
  }

  /**
   * The burst that `request` belongs to. A request that arrives after all others were answered starts a new burst. It comes from
   * another browser, because the same browser would send a text that it has got.
   */
  #burstOf(request: CarrierRequest, arrivedAt: number): Burst {
    const now = performance.now();
    const key = keyOf(request);
    let burst = this.#bursts.get(key);
    burst?.leave();
    if (burst === undefined || arrivedAt > burst.lastAt + onTheWayMs || now - burst.lastAt >= rememberedMs) {
      burst = new Burst(key, now);
      this.#bursts.set(key, burst);
    }
    burst.lastAt = now;
    burst.enter(this.#end);
    this.#forget(now - rememberedMs);
    return burst;
  }

  #forget(before: number): void {
    let oldest = this.#end.newer;
    while (oldest !== this.#end && (oldest.lastAt <= before || this.#bursts.size > maxBursts)) {
      this.#bursts.delete(oldest.key);
      oldest.leave();
      oldest = this.#end.newer;
    }
  }
}

/** A rounded text. If `exact` is negative, the text is rounded more from the beginning. */
function roundedIn(burst: Burst, token: OutgoingToken, exact: number): string {
  const histories = token.histories();
  burst.rounded ??= new Map();
  let rounding = burst.rounded.get(histories);
  if (rounding === undefined) {
    rounding = new Rounding(1 + Math.floor(Math.max(0, -exact) / textsPerLevel));
    burst.rounded.set(histories, rounding);
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

/**
 * A digest, because the headers of 10,000 requests would take too much memory. The headers tell browsers without cookies apart.
 * They only decide how exact a token is.
 */
function keyOf({ headers, socket }: CarrierRequest): string {
  const { cookie, "user-agent": agent, "accept-language": language } = headers;
  const from = `${headers["x-forwarded-for"] ?? ""}\n${headers.forwarded ?? ""}\n${addressOf(socket) ?? ""}`;
  return hash("sha1", `${cookie ?? ""}\n${from}\n${agent ?? ""}\n${language ?? ""}`, "binary");
}

function addressOf(socket: object | null | undefined): unknown {
  const isKnown = typeof socket === "object" && socket !== null && "remoteAddress" in socket;
  return isKnown ? socket.remoteAddress : undefined;
}
