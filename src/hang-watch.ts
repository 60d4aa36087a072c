/** Notices a server that has stopped to answer. */
import type { Redis } from "ioredis";

const everyMs = 250;

/** Replies come in order, so a server is stuck when one command stays in front of the queue and no byte comes. */
export class HangWatch {
  #timer: NodeJS.Timeout | undefined;
  readonly #redis: Redis;
  readonly #afterMs: number;
  readonly #onLook: () => void;
  readonly #onHang: () => void;

  /** `onLook` is called now and then while commands are unanswered, `onHang` when none was for `afterMs`. */
  constructor(redis: Redis, afterMs: number, onLook: () => void, onHang: () => void) {
    this.#redis = redis;
    this.#afterMs = afterMs;
    this.#onLook = onLook;
    this.#onHang = onHang;
  }

  /** Watches until nothing is unanswered. */
  start(): void {
    if (this.#timer !== undefined) return;
    const lookMs = Math.min(everyMs, this.#afterMs / 3);
    let front: unknown;
    let bytes = 0;
    let stuckMs = 0;
    this.#timer = setInterval(() => {
      const first = this.#redis.commandQueue.peekFront();
      if (first === undefined) return this.stop();
      this.#onLook();
      const { bytesRead } = this.#redis.stream;
      stuckMs = first === front && bytesRead === bytes ? stuckMs + lookMs : 0;
      front = first;
      bytes = bytesRead;
      if (stuckMs >= this.#afterMs) this.#onHang();
    }, lookMs).unref();
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
