/** Notices a server that has stopped answering. */
import type { Redis } from "ioredis";

const everyMs = 250;

/** How long a server may be silent, and what is called if it is. */
export interface StallDetectorOptions {
  /** How long commands may stay unanswered without a byte from the server, in milliseconds. Called at every tick. */
  readonly limitMs: () => number;
  /** Called at every tick, while commands are unanswered. */
  readonly onTick: () => void;
  /** Called when the server has been silent for longer than the limit. */
  readonly onStall: () => void;
}

/** Replies come in order. So a server is stalled if the first command in the queue stays the same and no byte arrives. */
export class StallDetector {
  #timer: NodeJS.Timeout | undefined;
  #front: unknown;
  #bytes = 0;
  #stalledMs = 0;
  readonly #redis: Redis;
  readonly #options: StallDetectorOptions;

  constructor(redis: Redis, options: StallDetectorOptions) {
    this.#redis = redis;
    this.#options = options;
  }

  /** For how long commands have been unanswered without a byte from the server, in milliseconds. 0 if no command is unanswered. */
  get silentMs(): number {
    return this.#stalledMs > 0 && this.#isStalled() ? this.#stalledMs : 0;
  }

  /** Starts the ticks, which continue until no command is unanswered. */
  start(): void {
    if (this.#timer !== undefined) return;
    const tickMs = Math.min(everyMs, this.#options.limitMs() / 3);
    this.#timer = setInterval(() => this.#tick(tickMs), tickMs).unref();
  }

  /** Called when the limit has become shorter. A server that was silent for longer gets one to two more ticks to answer. */
  shorten(): void {
    this.#stalledMs = Math.min(this.#stalledMs, Math.max(0, this.#options.limitMs() - 2 * everyMs));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#front = undefined;
    this.#stalledMs = 0;
  }

  /** Counts ticks instead of reading a clock, so that the server is not blamed for the time in which this process was busy. */
  #tick(tickMs: number): void {
    const front = this.#redis.commandQueue.peekFront();
    if (front === undefined) {
      this.stop();
      return;
    }
    this.#stalledMs = this.#isStalled() ? this.#stalledMs + tickMs : 0;
    this.#front = front;
    this.#bytes = this.#redis.stream.bytesRead;
    this.#options.onTick();
    if (this.#stalledMs >= this.#options.limitMs()) this.#options.onStall();
  }

  #isStalled(): boolean {
    const { commandQueue, stream } = this.#redis;
    return commandQueue.peekFront() === this.#front && stream.bytesRead === this.#bytes;
  }
}
