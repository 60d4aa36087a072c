/** Limits how many reads may fall back to the primary, so that writes stay possible while replicas lag. */

/** The limits for one process and one primary. */
export interface FallbackLimits {
  /**
   * How many fallback reads may be in flight at a time. The number is lower while the primary answers more slowly than when it
   * was calm.
   */
  readonly concurrency: number;
  /** How many fallback reads may be sent in a second. After a calm second, as many may be sent at once. */
  readonly perSecond: number;
}

/** The present response times of the servers, in milliseconds. */
export interface ResponseTimes {
  readonly primaryMs: number;
  /** Of the fastest replica. If that replica slows down too, the cause is not the primary. Infinity if there is no replica. */
  readonly replicaMs: number;
}

const shrinkFactor = 0.7;
const slowRatio = 2;
const slowSlackMs = 1;
const calmAfterMs = 250;
const adjustEveryMs = 10;
const leastSlots = 0.2;
const calmDrift = 0.05;
/**
 * A read may take long because it had to wait for another primary. Such a read must not hold up the reads in line until their
 * time is over.
 */
const longestPauseMs = 250;

/**
 * Holds a bucket of `perSecond` reads, a number of slots, and a line of reads that wait for a slot. The primary's response times
 * set the number of slots. The number falls by a factor while the primary takes more than twice as long as when no fallback read
 * was in flight. Otherwise the number grows by one for each round of answers. With less than one slot, there is one slot and a
 * pause after each read.
 */
export class FallbackLimit {
  readonly #limits: FallbackLimits;
  readonly #responseTimes: () => ResponseTimes;
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

  constructor(limits: FallbackLimits, responseTimes: () => ResponseTimes) {
    this.#limits = limits;
    this.#responseTimes = responseTimes;
    this.#slots = limits.concurrency;
    this.#credit = limits.perSecond;
  }

  /**
   * Takes a slot if one is free and no read waits in line, and returns whether it did. Call {@link release} when the read ends.
   */
  tryAcquire(): boolean {
    const now = performance.now();
    if (this.#inFlight === 0 && now - this.#leftAt > calmAfterMs) this.#learnCalm();
    if (!this.#line.isEmpty || !this.#hasRoom(now)) return false;
    this.#take();
    return true;
  }

  /** Calls `go` when there is room and it is the turn of `user`. Call the returned function to leave the line. */
  acquireLater(user: unknown, go: () => boolean): () => void {
    const leaveLine = this.#line.add(user, go);
    this.#advance();
    return leaveLine;
  }

  /** Called when a read is answered, `tookMs` milliseconds after it was sent. */
  release(tookMs: number): void {
    const now = performance.now();
    this.#inFlight -= 1;
    this.#leftAt = now;
    if (!this.#isSlow())
      this.#slots = Math.min(this.#limits.concurrency, this.#slots + 1 / Math.max(1, this.#slots));
    else if (now - this.#adjustedAt > adjustEveryMs) {
      this.#adjustedAt = now;
      this.#slots = Math.max(leastSlots, Math.min(this.#slots, this.#inFlight + 1) * shrinkFactor);
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
    // While reads are in flight, their answers advance the line.
    if (this.#line.isEmpty || this.#inFlight > 0 || this.#timer !== undefined) return;
    const creditInMs = ((1 - this.#credit) * 1000) / this.#limits.perSecond;
    const ms = Math.max(1, creditInMs, this.#pausedUntil - now);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#advance();
    }, ms);
  }

  #isSlow(): boolean {
    const { primaryMs, replicaMs } = this.#responseTimes();
    if (replicaMs === Number.POSITIVE_INFINITY) return false;
    return primaryMs > slowRatio * Math.max(this.#calmMs ?? primaryMs, replicaMs) + slowSlackMs;
  }

  #learnCalm(): void {
    const { primaryMs } = this.#responseTimes();
    this.#slots = Math.max(this.#slots, 1);
    const known = this.#calmMs ?? primaryMs;
    this.#calmMs = Math.min(primaryMs, known + calmDrift * (primaryMs - known));
  }
}

/** Continues a waiting read, unless the read has gone elsewhere meanwhile. Returns whether the read continued. */
export type Continue = () => boolean;

/** Lets users take turns. Invariant: every user in the map has a place, and the user whose turn was last is at the end. */
export class Turns {
  readonly #places = new Map<unknown, Set<Continue>>();

  get isEmpty(): boolean {
    return this.#places.size === 0;
  }

  /** Gives `user` one more place, behind the places that it has. Call the returned function to give up the new place. */
  add(user: unknown, go: Continue): () => void {
    let places = this.#places.get(user);
    if (places === undefined) {
      places = new Set();
      this.#places.set(user, places);
    }
    places.add(go);
    return () => {
      if (places.delete(go) && places.size === 0) this.#places.delete(user);
    };
  }

  /** Takes out the first place of the user whose turn it is. Undefined if the line is empty. */
  next(): Continue | undefined {
    for (const [user, places] of this.#places) {
      this.#places.delete(user);
      for (const go of places) {
        places.delete(go);
        if (places.size > 0) this.#places.set(user, places);
        return go;
      }
    }
    return undefined;
  }
}
