/**
 * Stands between a replica and its primary and makes the replica lag: what the primary sends is held or
 * delayed, what the replica sends passes at once.
 */

import type { Socket } from "node:net";
import { DelayQueue, type Lag } from "./delay-queue.js";
import { type Outlet, TcpProxy } from "./tcp-proxy.js";

export class LagProxy extends TcpProxy {
  readonly #lag: Lag = { isHeld: false, ms: 0, jitterMs: 0, bytesPerMs: Number.POSITIVE_INFINITY };
  readonly #queues = new Set<DelayQueue>();

  protected override openOutlet(client: Socket): Outlet {
    const queue = new DelayQueue(client, this.#lag);
    this.#queues.add(queue);
    client.once("close", () => this.#queues.delete(queue));
    return queue;
  }

  /** From now on nothing reaches the replica, bytes already delayed included, until `release()`. */
  hold(): void {
    this.#lag.isHeld = true;
  }

  /** Sends everything held, in order; resolves when it is written. */
  async release(): Promise<void> {
    this.#lag.isHeld = false;
    await Promise.all([...this.#queues].map((queue) => queue.flush()));
  }

  /** Each chunk that arrives from now on is passed on after `ms`, give or take up to `jitterMs`, in order. */
  delay(ms: number, jitterMs = 0): void {
    this.#lag.ms = ms;
    this.#lag.jitterMs = jitterMs;
  }

  /** Passes later bytes on at this rate; infinity removes the limit. */
  throttle(bytesPerMs: number): void {
    this.#lag.bytesPerMs = bytesPerMs;
  }
}
