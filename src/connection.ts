/** One ioredis client to one server: what leaves in one turn of the event loop leaves in one system call. */
import { type Command, Redis, type RedisOptions } from "ioredis";
import { ClosedError } from "./errors.js";

/** ioredis's second argument of `sendCommand`: the pipeline a command is part of. */
export type CommandStream = NonNullable<Parameters<Redis["sendCommand"]>[1]>;

/** How a connection differs from ioredis's own defaults. */
export interface ConnectionOptions {
  readonly redis: RedisOptions;
  /** See {@link Connection.patient}. */
  readonly patient: boolean;
  /** An impatient connection is dropped when a command is left unanswered for so long. */
  readonly hangsAfterMs: number;
  /** Called when a TCP connection is ready for commands. */
  readonly onReady: () => void;
  /** Called when it is gone, or could not be had, with the latest error on the way. */
  readonly onClose: (error: Error | undefined) => void;
  /** Called now and then while commands are unanswered. */
  readonly onWatch: () => void;
}

const maxTextLength = 65_536;
const watchEveryMs = 250;
const defaultRetries = 20;
const defaultConnectTimeoutMs = 10_000;

/**
 * Nothing is ever sent again by ioredis itself: what was unanswered when a connection closed is rejected, and
 * whoever gave the command decides. So a reply always comes over the connection that carried its command.
 */
export class Connection {
  readonly redis: Redis;
  readonly address: string;
  /**
   * Whether commands wait: for a connection, as in ioredis's offline queue, and for an answer, as long as it takes.
   * Writes need that; a read can go elsewhere instead.
   */
  patient: boolean;
  /** Counts TCP connections; two commands went over the same one when it did not change between them. */
  epoch = 0;
  /** Counts turns of the event loop in which something was sent. */
  turn = 0;
  #ready = false;
  #closed = false;
  #ended = false;
  #error: Error | undefined;
  #corked: Redis["stream"] | undefined;
  #lastWords: (() => void)[] = [];
  /** The bytes of this turn: one long text leaves in less time than many short ones. */
  #text = "";
  readonly #collector: CommandStream;
  #queue: { start: (error?: Error) => void; retriesLeft: number }[] = [];
  #watch: NodeJS.Timeout | undefined;
  #handshake: NodeJS.Timeout | undefined;
  readonly #options: ConnectionOptions;
  readonly #retries: number;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.patient = options.patient;
    const { maxRetriesPerRequest } = options.redis;
    this.#retries =
      maxRetriesPerRequest === null ? Number.POSITIVE_INFINITY : (maxRetriesPerRequest ?? defaultRetries);
    const redis: RedisOptions = {
      ...options.redis,
      enableOfflineQueue: false,
      enableAutoPipelining: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: undefined,
      lazyConnect: false,
      keyPrefix: "",
    };
    // ioredis 6 types a client by its replyMapping; which one the user chose makes no difference here.
    this.redis = new Redis(redis as RedisOptions & { replyMapping?: "legacy" });
    this.#collector = {
      isPipeline: true,
      destination: { redis: this.redis },
      write: (data: string | Buffer) => this.#collect(data),
    };
    this.address = options.redis.path ?? `${options.redis.host ?? "localhost"}:${options.redis.port ?? 6379}`;
    this.#listen();
  }

  /** Whether a command would leave at once. */
  get ready(): boolean {
    return this.#ready && this.redis.status === "ready" && this.redis.stream.writable;
  }

  /** Commands sent and not answered. */
  get inFlight(): number {
    return this.redis.commandQueue.length;
  }

  /**
   * Gives a command to ioredis. With others in flight its bytes wait for the end of this turn of the event loop;
   * alone it leaves at once, because then nothing would be saved by waiting.
   */
  send(command: Command): void {
    if (this.#corked === undefined && this.inFlight > 0) this.cork();
    this.redis.sendCommand(command, this.#corked && this.#collector);
    this.#watch ??= this.#startWatch();
  }

  /** Keeps all bytes until the end of this turn; `lastWord` is called just before they leave. */
  cork(lastWord?: () => void): void {
    if (lastWord !== undefined) this.#lastWords.push(lastWord);
    if (this.#corked !== undefined) return;
    this.#corked = this.redis.stream;
    this.#corked.cork();
    process.nextTick(() => this.#endTurn());
  }

  /** Calls `start` once there is a connection, or with the reason why there will be none. */
  whenReady(start: (error?: Error) => void): void {
    if (this.ready) start();
    else if (this.#closed) start(new ClosedError("command"));
    else if (this.#ended) start(new Error("Connection is closed.", { cause: this.#error }));
    else if (!this.patient || this.#options.redis.enableOfflineQueue === false)
      start(new Error("Stream isn't writeable and enableOfflineQueue options is false"));
    else this.#queue.push({ start, retriesLeft: this.#retries });
  }

  /** Ends the connection now; what is unanswered is rejected. */
  close(): void {
    this.#closed = true;
    this.#ready = false;
    clearInterval(this.#watch);
    clearTimeout(this.#handshake);
    this.redis.disconnect();
    this.redis.stream?.destroy();
    this.#failQueue(new ClosedError("command"), true);
  }

  /** Drops the TCP connection, so that everything in flight is rejected at once; ioredis then connects anew. */
  reset(): void {
    this.redis.stream?.destroy();
  }

  #endTurn(): void {
    for (const lastWord of this.#lastWords) lastWord();
    this.#lastWords = [];
    this.#flush();
    this.#corked?.uncork();
    this.#corked = undefined;
    this.turn += 1;
  }

  #collect(data: string | Buffer): void {
    if (typeof data === "string") this.#text += data;
    else {
      this.#flush();
      this.#corked?.write(data);
    }
    if (this.#text.length > maxTextLength) this.#flush();
  }

  #flush(): void {
    if (this.#text === "") return;
    this.#corked?.write(this.#text);
    this.#text = "";
  }

  #listen(): void {
    const { redis } = this;
    redis.on("error", (error: Error) => {
      this.#error = error;
    });
    redis.on("connect", () => {
      const patience = this.#options.redis.connectTimeout ?? defaultConnectTimeoutMs;
      clearTimeout(this.#handshake);
      if (patience > 0) this.#handshake = setTimeout(() => this.reset(), patience).unref();
    });
    redis.on("ready", () => {
      clearTimeout(this.#handshake);
      this.epoch += 1;
      this.#error = undefined;
      this.#ready = true;
      // In front of what has waited: the server may be another than before, or in another role.
      this.#options.onReady();
      const queue = this.#queue;
      this.#queue = [];
      for (const { start } of queue) start();
    });
    redis.on("close", () => {
      clearTimeout(this.#handshake);
      this.epoch += 1;
      this.#ready = false;
      this.#options.onClose(this.#error);
      const message = `Reached the max retries per request limit (which is ${this.#retries}).`;
      this.#failQueue(new Error(message, { cause: this.#error }), false);
    });
    redis.on("end", () => {
      this.#ended = true;
      this.#failQueue(new Error("Connection is closed.", { cause: this.#error }), true);
    });
  }

  #failQueue(error: Error, all: boolean): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const entry of queue) {
      if (all || entry.retriesLeft <= 0) entry.start(error);
      else this.#queue.push({ start: entry.start, retriesLeft: entry.retriesLeft - 1 });
    }
  }

  /** Replies come in order, so a server is stuck when one command stays in front of the queue and no byte comes. */
  #startWatch(): NodeJS.Timeout {
    const everyMs = Math.min(watchEveryMs, this.#options.hangsAfterMs / 3);
    let front: unknown;
    let bytes = 0;
    let stuckMs = 0;
    const watch = setInterval(() => {
      const first = this.redis.commandQueue.peekFront();
      if (first === undefined) {
        clearInterval(watch);
        this.#watch = undefined;
        return;
      }
      this.#options.onWatch();
      const { bytesRead } = this.redis.stream;
      stuckMs = first === front && bytesRead === bytes ? stuckMs + everyMs : 0;
      front = first;
      bytes = bytesRead;
      if (stuckMs >= this.#options.hangsAfterMs && !this.patient) this.reset();
    }, everyMs);
    return watch.unref();
  }
}
