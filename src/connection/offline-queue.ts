/** Commands that wait for a connection, as in ioredis's offline queue. */
import { Socket } from "node:net";
import { AbstractConnector, Command, Redis } from "ioredis";

/** Called when there is a connection, or with the reason why there is none. */
export type WhenReady = (error?: Error) => void;

interface Entry {
  readonly start: WhenReady;
  retriesLeft: number;
  deadline: NodeJS.Timeout | undefined;
}

/** The longest time for setTimeout, in milliseconds. A longer timer fires at once. */
export const longestTimerMs = 2 ** 31 - 1;

export class OfflineQueue {
  readonly #retries: number;
  readonly #waiting = new Set<Entry>();

  /** An entry is given up when more than `retries` connections have failed. */
  constructor(retries: number) {
    this.#retries = retries;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Calls `start` once there is a connection, or with the error that `timeoutError` makes when `patienceMs` have passed. */
  add(start: WhenReady, patienceMs: number, timeoutError: () => Error): void {
    if (patienceMs <= 0) {
      start(timeoutError());
      return;
    }
    const entry: Entry = { start, retriesLeft: this.#retries, deadline: undefined };
    const expire = (): void => {
      this.#waiting.delete(entry);
      start(timeoutError());
    };
    if (patienceMs <= longestTimerMs) entry.deadline = setTimeout(expire, patienceMs);
    this.#waiting.add(entry);
  }

  /** Starts all entries, in the order in which they were added. */
  startAll(): void {
    for (const { start } of this.#take()) start();
  }

  /** Gives up all entries. */
  failAll(error: Error): void {
    for (const { start } of this.#take()) start(error);
  }

  /** Counts a connection that failed, and gives up the entries that have now waited through more than `retries` failures. */
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

/** Connects to nothing and uses no network. */
class Unreachable extends AbstractConnector {
  constructor() {
    super(0);
  }

  override connect(): Promise<Socket> {
    return Promise.resolve(new Socket().destroy());
  }
}

let known: Promise<unknown> | undefined;

/** The error with which ioredis rejects a command after more than `retries` failed connections. `cause` says why they failed. */
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

/** Resolves with an error of ioredis for too many retries. Only a client of ioredis can make one. */
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
