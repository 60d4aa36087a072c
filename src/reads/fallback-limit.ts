/** How many reads that belong on replicas may go to the primary instead: what keeps writes alive while replicas lag. */

/** For one process and one primary. */
export interface FallbackLimits {
  /** How many may be on their way at a time; fewer do while the primary answers more slowly than when it was calm. */
  readonly concurrency: number;
  /** How many may be sent in a second; as many at once after a calm second. */
  readonly perSecond: number;
}

/** How fast servers answer now, in milliseconds. */
export interface ResponseTimes {
  readonly primaryMs: number;
  /** Of the fastest replica: what slows that down too is not the primary's. Infinity without any. */
  readonly replicaMs: number;
}

const slower = 0.7;
const tolerance = 2;
const slackMs = 1;
const calmAfterMs = 250;
const adjustEveryMs = 10;
const least = 0.2;
const drift = 0.05;
/** One that took long, because it had to wait for another primary, must not hold up those in line until their time is over. */
const longestPauseMs = 250;

/**
 * A bucket of `perSecond`, a number of slots, and a line of those who wait for one. The slots follow the primary's answers:
 * fewer by a factor while these take more than twice as long as when no such read was on its way, one more for each round of
 * answers else. Less than one slot is one with a pause behind each read.
 */
export class FallbackLimit {
  readonly #limits: FallbackLimits;
  readonly #pace: () => ResponseTimes;
  readonly #line = new Turns();
  #timer: NodeJS.Timeout | undefined;
  #slots: number;
  #inFlight = 0;
  #credit: number;
  #creditAt = performance.now();
  #calmMs: number | undefined;
  #leftAt = Number.NEGATIVE_INFINITY;
  #adjustedAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(limits: FallbackLimits, pace: () => ResponseTimes) {
    this.#limits = limits;
    this.#pace = pace;
    this.#slots = limits.concurrency;
    this.#credit = limits.perSecond;
  }

  /** Whether one more may go now, before which nobody waits; it has to {@link release} then. */
  tryAcquire(): boolean {
    const now = performance.now();
    if (this.#inFlight === 0 && now - this.#leftAt > calmAfterMs) this.#learnCalm();
    if (!this.#line.isEmpty || !this.#hasRoom(now)) return false;
    this.#take();
    return true;
  }

  /** Calls `go` when there is room and it is the turn of `bearer`; the returned function takes it out of the line. */
  acquireLater(bearer: unknown, go: () => boolean): () => void {
    const leaveLine = this.#line.add(bearer, go);
    this.#advance();
    return leaveLine;
  }

  /** Told that one has been answered, `tookMs` after it was sent. */
  release(tookMs: number): void {
    const now = performance.now();
    this.#inFlight -= 1;
    this.#leftAt = now;
    if (!this.#isSlow())
      this.#slots = Math.min(this.#limits.concurrency, this.#slots + 1 / Math.max(1, this.#slots));
    else if (now - this.#adjustedAt > adjustEveryMs) {
      this.#adjustedAt = now;
      this.#slots = Math.max(least, Math.min(this.#slots, this.#inFlight + 1) * slower);
    }
    if (this.#slots < 1) this.#pausedUntil = now + Math.min(tookMs * (1 / this.#slots - 1), longestPauseMs);
    this.#advance();
  }

  #hasRoom(now: number): boolean {
    const { perSecond } = this.#limits;
    this.#credit = Math.min(perSecond, this.#credit + ((now - this.#creditAt) / 1000) * perSecond);
    this.#creditAt = now;
    return this.#credit >= 1 && this.#inFlight < Math.max(1, this.#slots) && now >= this.#pausedUntil;
  }

  #take(): void {
    this.#credit -= 1;
    this.#inFlight += 1;
  }

  #giveBack(): void {
    this.#credit += 1;
    this.#inFlight -= 1;
  }

  #advance(): void {
    const now = performance.now();
    while (!this.#line.isEmpty && this.#hasRoom(now)) {
      this.#take();
      if (this.#line.next()?.() !== true) this.#giveBack();
    }
    // With some on their way their answers have the line go on.
    if (this.#line.isEmpty || this.#inFlight > 0 || this.#timer !== undefined) return;
    const creditInMs = ((1 - this.#credit) * 1000) / this.#limits.perSecond;
    const ms = Math.max(1, creditInMs, this.#pausedUntil - now);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#advance();
    }, ms);
  }

  #isSlow(): boolean {
    const { primaryMs, replicaMs } = this.#pace();
    if (replicaMs === Number.POSITIVE_INFINITY) return false;
    return primaryMs > tolerance * Math.max(this.#calmMs ?? primaryMs, replicaMs) + slackMs;
  }

  #learnCalm(): void {
    const { primaryMs } = this.#pace();
    this.#slots = Math.max(this.#slots, 1);
    const known = this.#calmMs ?? primaryMs;
    this.#calmMs = Math.min(primaryMs, known + drift * (primaryMs - known));
  }
}

/** Goes on, unless it has gone elsewhere meanwhile; says whether it did. */
export type Go = () => boolean;

/** Invariant: nobody is in the map without a place, and the one whose turn was last is at its end. */
export class Turns {
  readonly #places = new Map<unknown, Set<Go>>();

  get isEmpty(): boolean {
    return this.#places.size === 0;
  }

  /** Gives `bearer` one more place, behind those it has; the returned function gives that up. */
  add(bearer: unknown, go: Go): () => void {
    let places = this.#places.get(bearer);
    if (places === undefined) {
      places = new Set();
      this.#places.set(bearer, places);
    }
    places.add(go);
    return () => {
      if (places.delete(go) && places.size === 0) this.#places.delete(bearer);
    };
  }

  /** Takes out the first place of the one whose turn it is; undefined when the line is empty. */
  next(): Go | undefined {
    for (const [bearer, places] of this.#places) {
      this.#places.delete(bearer);
      for (const go of places) {
        places.delete(go);
        if (places.size > 0) this.#places.set(bearer, places);
        return go;
      }
    }
    return undefined;
  }
}
