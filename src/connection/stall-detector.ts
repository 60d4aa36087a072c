/** Notices a server that has stopped answering. */
import type { Redis } from "ioredis";

const everyMs = 250;

/** How long a server may be silent, and who is called. */
export interface StallDetectorOptions {
  /** How long commands may stay unanswered without a byte from the server, in milliseconds; asked at every look. */
  readonly limitMs: () => number;
  /** Called now and then while commands are unanswered. */
  readonly onLook: () => void;
  /** Called when the server has been silent for longer than the limit. */
  readonly onHang: () => void;
}

/** Replies come in order, so a server is stuck when one command stays in front of the queue and no byte comes. */
export class StallDetector {
  #timer: NodeJS.Timeout | undefined;
  #front: unknown;
  #bytes = 0;
  #stuckMs = 0;
  readonly #redis: Redis;
  readonly #options: StallDetectorOptions;

  constructor(redis: Redis, options: StallDetectorOptions) {
    this.#redis = redis;
    this.#options = options;
  }

  /** For how long commands have been unanswered without a byte from the server, in milliseconds; 0 when none is. */
  get silentMs(): number {
    return this.#stuckMs > 0 && this.#isStuck() ? this.#stuckMs : 0;
  }

  /** Watches until nothing is unanswered. */
  start(): void {
    if (this.#timer !== undefined) return;
    const lookMs = Math.min(everyMs, this.#options.limitMs() / 3);
    this.#timer = setInterval(() => this.#look(lookMs), lookMs).unref();
  }

  /** Gives a server that was silent for longer than a limit that has become shorter one to two more looks to answer. */
  shorten(): void {
    this.#stuckMs = Math.min(this.#stuckMs, Math.max(0, this.#options.limitMs() - 2 * everyMs));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#front = undefined;
    this.#stuckMs = 0;
  }

  /** Counts looks instead of reading a clock, so that a process that was busy itself does not blame the server. */
  #look(lookMs: number): void {
    const front = this.#redis.commandQueue.peekFront();
    if (front === undefined) {
      this.stop();
      return;
    }
    this.#stuckMs = this.#isStuck() ? this.#stuckMs + lookMs : 0;
    this.#front = front;
    this.#bytes = this.#redis.stream.bytesRead;
    this.#options.onLook();
    if (this.#stuckMs >= this.#options.limitMs()) this.#options.onHang();
  }

  #isStuck(): boolean {
    const { commandQueue, stream } = this.#redis;
    return commandQueue.peekFront() === this.#front && stream.bytesRead === this.#bytes;
  }
}
