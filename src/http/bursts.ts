/** Responses to requests with the same cookies: one browser may get them all at once. */
import { createHash } from "node:crypto";
import type { CarrierRequest, OutgoingToken } from "./carrier.js";

/** What was given to requests with the same cookies since the first of them. */
interface Burst {
  readonly since: number;
  /** How many different texts. */
  texts: number;
  /** The last of them. */
  last: string;
}

/** A browser sends what it was given with its next request, so its requests look alike for a moment only. */
const spanMs = 15_000;
const maxBursts = 10_000;
const textsPerLevel = 2;
/** Tell browsers apart that have no cookies yet. Only how exact a token is depends on these headers. */
const marks = ["cookie", "x-forwarded-for", "forwarded", "user-agent", "accept-language"] as const;

/** Remembers the bursts of the last 15 seconds, and at most 10,000 of them. */
export class Bursts {
  /** In the order of their beginnings. */
  readonly #bursts = new Map<string, Burst>();

  /** The text of `token` for a response to `request`: exact for the first `exact` of a burst, then more and more rounded. */
  textFor(request: CarrierRequest, token: OutgoingToken, exact: number): string {
    const burst = this.#burstOf(request);
    const beyond = burst.texts - exact;
    const text = beyond < 0 ? token.text() : token.rounded(1 + Math.floor(beyond / textsPerLevel));
    if (text !== burst.last) {
      burst.texts += 1;
      burst.last = text;
    }
    return text;
  }

  #burstOf(request: CarrierRequest): Burst {
    const now = performance.now();
    this.#forget(now - spanMs);
    const key = keyOf(request);
    const known = this.#bursts.get(key);
    if (known !== undefined) return known;
    const burst = { since: now, texts: 0, last: "" };
    this.#bursts.set(key, burst);
    return burst;
  }

  #forget(before: number): void {
    for (const [key, { since }] of this.#bursts) {
      if (since > before && this.#bursts.size < maxBursts) return;
      this.#bursts.delete(key);
    }
  }
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
