/** Lag that is never the same for long: another one for each replica, with jitter, and all is held back now and then. */

import type { LagProxy } from "./lag-proxy.js";

export interface FickleLagOptions {
  /** The most that bytes are delayed by, less jitter. */
  readonly upToMs: number;
  /** How long a link keeps its delay, or is held back. */
  readonly everyMs: number;
  /** The share of times that a link is held back. */
  readonly held: number;
  /** Numbers from 0 up to, but not including, 1. With the same numbers, the lag changes the same way again. */
  readonly random?: () => number;
}

/** Changes the lag of all links until disposed of; then none is left. */
export function fickleLag(
  links: readonly LagProxy[],
  { upToMs, everyMs, held, random = Math.random }: FickleLagOptions,
): AsyncDisposable {
  const change = (link: LagProxy): void => {
    if (random() < held) {
      link.hold();
      return;
    }
    const ms = upToMs * random() ** 2;
    link.delay(ms, ms / 2);
    void link.release();
  };
  for (const link of links) change(link);
  const timer = setInterval(() => {
    const link = links[Math.floor(random() * links.length)];
    if (link !== undefined) change(link);
  }, everyMs / links.length);
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      for (const link of links) link.delay(0);
      await Promise.all(links.map((link) => link.release()));
    },
  };
}
