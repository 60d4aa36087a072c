/** Commands that wait for a connection, as in ioredis's offline queue. */

import { Socket } from "node:net";
import { AbstractConnector, Command, Redis } from "ioredis";

/** Told that there is a connection, or why there is none. */
export type WhenReady = (error?: Error) => void;

interface Entry {
  readonly start: WhenReady;
  retriesLeft: number;
  deadline: NodeJS.Timeout | undefined;
}

/** setTimeout fires at once when it is given more. */
export const longestTimerMs = 2 ** 31 - 1;

export class OfflineQueue {
  readonly #retries: number;
  readonly #waiting = new Set<Entry>();

  /** `retries` connections may fail before an entry is given up. */
  constructor(retries: number) {
    this.#retries = retries;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Gives `start` the error that `late` makes when `patienceMs` have passed. */
  add(start: WhenReady, patienceMs: number, late: () => Error): void {
    if (patienceMs <= 0) {
      start(late());
      return;
    }
    const entry: Entry = { start, retriesLeft: this.#retries, deadline: undefined };
    const expire = (): void => {
      this.#waiting.delete(entry);
      start(late());
    };
    if (patienceMs <= longestTimerMs) entry.deadline = setTimeout(expire, patienceMs);
    this.#waiting.add(entry);
  }

  /** Lets all go, in the order they came. */
  startAll(): void {
    for (const { start } of this.#take()) start();
  }

  /** Gives all up. */
  failAll(error: Error): void {
    for (const { start } of this.#take()) start(error);
  }

  /** Counts a connection that failed, and gives those up that have waited for enough of them. */
  countFailure(cause: Error | undefined): void {
    for (const entry of [...this.#waiting]) {
      entry.retriesLeft -= 1;
      if (entry.retriesLeft >= 0) continue;
      this.#remove(entry);
      retriesError(this.#retries, cause).then(entry.start);
    }
  }

  #take(): readonly Entry[] {
    const taken = [...this.#waiting];
    for (const entry of taken) this.#remove(entry);
    return taken;
  }

  #remove(entry: Entry): void {
    clearTimeout(entry.deadline);
    this.#waiting.delete(entry);
  }
}

const name = "MaxRetriesPerRequestError";

/** Never reaches a server, and uses no network. */
class Unreachable extends AbstractConnector {
  constructor() {
    super(0);
  }

  override connect(): Promise<Socket> {
    return Promise.resolve(new Socket().destroy());
  }
}

let known: Promise<unknown> | undefined;

/** The error that ioredis rejects a command with whose connection failed more than `retries` times; `cause` says why. */
export async function retriesError(retries: number, cause: Error | undefined): Promise<Error> {
  known ??= learn();
  const { constructor: Own } = Object(await known);
  const error: unknown = Own.name === name ? Reflect.construct(Own, [retries]) : undefined;
  const own =
    error instanceof Error
      ? error
      : Object.assign(new Error(`Reached the max retries per request limit (which is ${retries}).`), {
          name,
        });
  return Object.defineProperty(own, "cause", { value: cause, configurable: true, writable: true });
}

/** Resolves with such an error, which only a client of ioredis makes. */
async function learn(): Promise<unknown> {
  const redis = new Redis({
    Connector: Unreachable,
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    retryStrategy: () => 1_000,
  });
  const ping = new Command("ping");
  redis.sendCommand(ping);
  try {
    return await ping.promise;
  } catch (error) {
    return error;
  } finally {
    redis.disconnect();
  }
}
