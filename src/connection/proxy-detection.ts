/** Recognizes proxies that spread commands over several servers. Such a proxy cannot report the position of one server. */
import type { RedisOptions } from "ioredis";
import { withoutSecrets } from "../errors/secrets.js";
import { forgetClosed } from "./disconnect.js";
import { OwnClient } from "./own-client.js";
import { guardReplies, NonsenseError } from "./reply-guard.js";

/**
 * How a connection to a proxy that spreads commands begins. Twemproxy closes the connection when it is sent `HELLO`, `CLIENT` or
 * `INFO`, and without these options ioredis sends them by itself.
 */
export const plainHandshake = {
  protocol: 2,
  enableReadyCheck: false,
  disableClientInfo: true,
  connectionName: undefined,
} as const satisfies RedisOptions;

/** The result of a test: how the server shows that it is a proxy that spreads commands, or undefined if it is a single server. */
export interface DetectionResult {
  readonly sign: string | undefined;
}

/** Why a ready connection to a proxy that spreads commands has closed, as far as can be known. */
export const whyProxiesClose =
  "the proxy closed the connection, probably because of a command that it does not forward";

const closes = "it closes the connection when it receives INFO";
const patienceMs = 2_000;
/** This many rounds in a row have to show that a server is a proxy. If the server was a proxy before, one round is enough. */
const rounds = 2;
const againMs = 1_000;

/**
 * The errors of Envoy, forks of Twemproxy and Codis for commands that they do not forward. Codis takes the section of INFO for an
 * address.
 */
const notForwarded = /unknown command|unsupported command|is not allowed|backend server .* not found/i;

/** Whether a server says with `error` that it does not know INFO, or another command that every Redis server knows. */
export function isNotForwarded({ message }: Error): boolean {
  return notForwarded.test(message);
}

/** How a server that answers INFO with `error` shows that it is a proxy that spreads commands. */
export function signOf({ message }: Error): string {
  return `it answers INFO with "${message}"`;
}

/**
 * Tests one server over separate connections. `onResult` is called with the result, or with an error without secrets that says
 * why the server cannot be tested.
 */
export class ProxyDetection {
  readonly #server: RedisOptions;
  readonly #onResult: (result: DetectionResult | Error) => void;
  #running: AbortController | undefined;
  #endedAt = Number.NEGATIVE_INFINITY;
  #next: NodeJS.Timeout | undefined;

  constructor(server: RedisOptions, onResult: (result: DetectionResult | Error) => void) {
    this.#server = server;
    this.#onResult = onResult;
  }

  /** Tests a server that has closed a connection, at most once a second. Returns whether a test is running. */
  start(): boolean {
    if (this.#running === undefined && performance.now() - this.#endedAt < againMs) return false;
    this.#run(rounds);
    return true;
  }

  /** After a second, tests a server that was a proxy before, because another server may have replaced it. */
  startSoon(): void {
    this.cancelNext();
    this.#next = setTimeout(() => this.#run(1), againMs).unref();
  }

  /** Cancels {@link startSoon}. A test that has begun continues. */
  cancelNext(): void {
    clearTimeout(this.#next);
  }

  /** Ends the running test and its connection as well. The test then reports nothing. */
  stop(): void {
    this.cancelNext();
    this.#running?.abort();
    this.#running = undefined;
  }

  async #run(times: number): Promise<void> {
    if (this.#running !== undefined) return;
    const running = new AbortController();
    this.#running = running;
    const result = await detect(this.#server, times, running.signal).catch((error: Error) => error);
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#endedAt = performance.now();
    this.#onResult(result);
  }
}

/**
 * The server is a proxy if it answers PING but not INFO, `left` times in a row. Because of the repetition, a server that dies
 * between PING and INFO is not taken for a proxy. Rejects if the server cannot be tested now.
 */
async function detect(server: RedisOptions, left: number, signal: AbortSignal): Promise<DetectionResult> {
  const result = await detectOnce(server, signal);
  signal.throwIfAborted();
  return result.sign === undefined || left <= 1 ? result : detect(server, left - 1, signal);
}

async function detectOnce(server: RedisOptions, signal: AbortSignal): Promise<DetectionResult> {
  const options: RedisOptions = {
    ...server,
    ...plainHandshake,
    // A proxy that spreads commands does not know SELECT, which any other database would need.
    db: 0,
    lazyConnect: true,
    retryStrategy: () => null,
    reconnectOnError: () => false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: false,
    commandTimeout: undefined,
    socketTimeout: undefined,
    // The test does not wait until the server has closed the connection as well.
    disconnectTimeout: 0,
  };
  const redis = new OwnClient(options as RedisOptions & { replyMapping?: "legacy" });
  forgetClosed(redis);
  guardReplies(redis);
  let said: Error | undefined;
  redis.on("error", (error: Error) => {
    if (error.name === "ReplyError" || error instanceof NonsenseError) said = error;
  });
  let isLate = false;
  const end = (): void => {
    isLate = true;
    redis.disconnect();
    redis.stream?.destroy();
  };
  const deadline = setTimeout(end, patienceMs).unref();
  signal.addEventListener("abort", end);
  try {
    await redis.connect();
    await redis.ping();
    const refusal = await redis.info("replication").then(
      () => undefined,
      (error: Error) => error,
    );
    if (refusal === undefined) return { sign: undefined };
    if (isLate || said instanceof NonsenseError) throw refusal;
    if (refusal.name !== "ReplyError") return { sign: closes };
    return { sign: isNotForwarded(refusal) ? signOf(withoutSecrets(refusal, server)) : undefined };
  } catch (error) {
    throw withoutSecrets(said ?? error, server);
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener("abort", end);
    redis.disconnect();
  }
}
