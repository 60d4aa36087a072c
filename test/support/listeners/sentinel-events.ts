/** The events that sentinels have published since a group started, in the order of their arrival. */

import type { Redis } from "ioredis";
import type { RedisServer } from "../servers/redis-server.js";
import { waitUntil } from "../wait-until.js";

export interface SentinelEvent {
  /** For example "+switch-master". */
  readonly name: string;
  readonly text: string;
  /** The port of the sentinel that published the event. */
  readonly sentinel: number;
  /** As `performance.now()`. */
  readonly at: number;
}

export class SentinelEvents {
  readonly all: SentinelEvent[] = [];
  readonly #subscribers: Redis[] = [];

  /** Resolves once nothing that the sentinel tells can be missed. */
  async listenTo(sentinel: RedisServer): Promise<void> {
    // Nobody would hear of it if a subscription that ioredis renews by itself were cut short.
    const subscriber = sentinel.admin().duplicate({ autoResubscribe: false });
    this.#subscribers.push(subscriber);
    subscriber.on("error", () => {});
    subscriber.on("pmessage", (_pattern: string, name: string, text: string) => {
      this.all.push({ name, text, sentinel: sentinel.port, at: performance.now() });
    });
    await subscriber.psubscribe("*");
    subscriber.on("ready", () => subscriber.psubscribe("*").catch(() => {}));
  }

  /** Those of that name, from any sentinel, heard after `since`. */
  named(name: string, since = 0): SentinelEvent[] {
    return this.all.filter((event) => event.name === name && event.at > since);
  }

  /** Resolves with the first event of that name heard after `since`, be it past or still to come. */
  async first(name: string, since = 0): Promise<SentinelEvent> {
    await waitUntil(() => this.named(name, since).length > 0, {
      what: `a Sentinel reports ${name}`,
      timeoutMs: 25_000,
    });
    const [first] = this.named(name, since);
    if (first === undefined) throw new Error(`${name} is gone`);
    return first;
  }

  stop(): void {
    for (const subscriber of this.#subscribers) subscriber.disconnect();
  }
}
