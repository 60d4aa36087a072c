/** ioredis's own MaxRetriesPerRequestError, by which libraries know it though ioredis exports no class for it. */
import { Socket } from "node:net";
import { AbstractConnector, Command, Redis } from "ioredis";

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
