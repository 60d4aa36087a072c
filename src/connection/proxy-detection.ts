/** Recognizes proxies that spread commands over several servers: they cannot say what only one server knows of itself. */
import { Redis, type RedisOptions } from "ioredis";
import { withoutSecrets } from "../errors/secrets.js";
import { forgetClosed } from "./disconnect.js";
import { guardReplies, NonsenseError } from "./reply-guard.js";

/**
 * How a connection to such a proxy begins. Twemproxy closes the connection when it is sent `HELLO`, `CLIENT` or `INFO`,
 * which ioredis does by itself.
 */
export const plainHandshake = {
  protocol: 2,
  enableReadyCheck: false,
  disableClientInfo: true,
  connectionName: undefined,
} as const satisfies RedisOptions;

/** What an examination has found: how the server shows that it is such a proxy, or undefined for a server of its own. */
export interface Finding {
  readonly sign: string | undefined;
}

/** Why a connection to such a proxy that was ready has closed, as far as can be known. */
export const whyProxiesClose = "a proxy does so when it is sent a command that it does not forward";

const closes = "it closes the connection when it is asked for INFO";
const patienceMs = 2_000;
/** So many rounds in a row have to show that a server is a proxy. One that has shown it before needs to show it once. */
const rounds = 2;
const againMs = 1_000;

/** How proxies word that they do not forward a command: Envoy, Twemproxy's forks, and Codis, which takes a section for an address. */
const notForwarded = /unknown command|unsupported command|is not allowed|backend server .* not found/i;

/** Whether a server says with `error` that it does not know INFO, or another command that every Redis server knows. */
export function isNotForwarded({ message }: Error): boolean {
  return notForwarded.test(message);
}

/** How a server shows that it is such a proxy which has answered INFO with `error`. */
export function signOf({ message }: Error): string {
  return `it answers INFO with "${message}"`;
}

/**
 * Examines one server, over connections of its own. `onResult` is called with what was found, or with an error, without secrets,
 * that says why the server cannot be examined.
 */
export class ProxyDetection {
  readonly #server: RedisOptions;
  readonly #onResult: (found: Finding | Error) => void;
  #running: AbortController | undefined;
  #endedAt = Number.NEGATIVE_INFINITY;
  #next: NodeJS.Timeout | undefined;

  constructor(server: RedisOptions, onResult: (found: Finding | Error) => void) {
    this.#server = server;
    this.#onResult = onResult;
  }

  /** Examines a server that has closed a connection, at most once a second. Whether it is being examined. */
  start(): boolean {
    if (this.#running === undefined && performance.now() - this.#endedAt < againMs) return false;
    this.#run(rounds);
    return true;
  }

  /** Examines a server in a second that was a proxy before it was connected to: there may be another one by now. */
  startSoon(): void {
    this.forgoNext();
    this.#next = setTimeout(() => this.#run(1), againMs).unref();
  }

  /** Takes {@link startSoon} back; what has begun goes on. */
  forgoNext(): void {
    clearTimeout(this.#next);
  }

  /** Ends the connection of an examination too, which reports nothing then. */
  stop(): void {
    this.forgoNext();
    this.#running?.abort();
    this.#running = undefined;
  }

  async #run(times: number): Promise<void> {
    if (this.#running !== undefined) return;
    const running = new AbortController();
    this.#running = running;
    const found = await examine(this.#server, times, running.signal).catch((error: Error) => error);
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#endedAt = performance.now();
    this.#onResult(found);
  }
}

/**
 * The server is a proxy if it answers PING and then not INFO, `left` times in a row. So a server that dies at that very
 * moment is not taken for one. Rejects if the server cannot be examined now.
 */
async function examine(server: RedisOptions, left: number, signal: AbortSignal): Promise<Finding> {
  const finding = await look(server, signal);
  signal.throwIfAborted();
  return finding.sign === undefined || left <= 1 ? finding : examine(server, left - 1, signal);
}

async function look(server: RedisOptions, signal: AbortSignal): Promise<Finding> {
  const options: RedisOptions = {
    ...server,
    ...plainHandshake,
    // Another database would have to be selected, which no such proxy does.
    db: 0,
    lazyConnect: true,
    retryStrategy: () => null,
    reconnectOnError: () => false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: false,
    commandTimeout: undefined,
    socketTimeout: undefined,
    // A server that was examined is not waited for until it has closed the connection, too.
    disconnectTimeout: 0,
  };
  const redis = new Redis(options as RedisOptions & { replyMapping?: "legacy" });
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
