/** One ioredis client to one server: what leaves in one turn of the event loop leaves in one system call. */
import { once } from "node:events";
import { Command, Redis, type RedisOptions } from "ioredis";
import { addressOf } from "./address.js";
import { Company } from "./company.js";
import { ClosedError } from "./errors.js";
import { HangWatch } from "./hang-watch.js";
import { OfflineQueue, type Start } from "./offline-queue.js";
import { Outgoing } from "./outgoing.js";
import { Resends } from "./resends.js";

/** How a connection differs from ioredis's own defaults. */
export interface ConnectionOptions {
  readonly redis: RedisOptions;
  /** See {@link Connection.patient}. */
  readonly patient: boolean;
  /** Called when a TCP connection is ready for commands. */
  readonly onReady: () => void;
  /** Called when it is gone, or could not be had, with the latest error on the way. */
  readonly onClose: (error: Error | undefined) => void;
  /** Called now and then while commands are unanswered. */
  readonly onWatch: () => void;
}

const defaultRetries = 20;
const impatientRetryMaxMs = 500;
const lastAnswersMs = 1_000;
/** How often a connection that is to be ended is looked at. */
const lookMs = 20;
/** An impatient connection that leaves commands unanswered for so long is given up, and they are sent elsewhere. */
const hangsAfterMs = 750;
const defaultConnectTimeoutMs = 10_000;

/**
 * Nothing is ever sent again by ioredis itself: what was unanswered when a connection closed is rejected, and
 * whoever gave the command decides. So a reply always comes over the connection that carried its command.
 */
export class Connection {
  readonly redis: Redis;
  /** How the server is reached, as it was given. */
  readonly server: RedisOptions;
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
  /** Whether it was ended on purpose. */
  closed = false;
  /** Since when there is no connection, on the monotonic clock; of no meaning while there is one. */
  downSince = performance.now();
  #ready = false;
  #ended = false;
  #error: Error | undefined;
  /** The bytes of this turn, if any wait for its end. */
  #outgoing: Outgoing | undefined;
  #lastWords: (() => void)[] = [];
  readonly #company = new Company();
  readonly #resends: Resends;
  readonly #queue: OfflineQueue;
  readonly #watch: HangWatch;
  #handshake: NodeJS.Timeout | undefined;
  readonly #options: ConnectionOptions;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.server = options.redis;
    this.patient = options.patient;
    const { maxRetriesPerRequest } = options.redis;
    const retries = maxRetriesPerRequest === null ? Number.POSITIVE_INFINITY : maxRetriesPerRequest;
    this.#queue = new OfflineQueue(retries ?? defaultRetries);
    this.#resends = new Resends(this);
    // What can be done without is tried again soon whenever it is gone.
    const retryStrategy = (times: number): number => Math.min(times * 50, impatientRetryMaxMs);
    const redis: RedisOptions = {
      ...options.redis,
      ...(options.patient ? {} : { retryStrategy }),
      reconnectOnError: (error) => this.#resends.reconnectOn(error, this.patient),
      enableOfflineQueue: false,
      enableAutoPipelining: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: undefined,
      blockingTimeout: undefined,
      keyPrefix: "",
    };
    // ioredis 6 types a client by its replyMapping; which one the user chose makes no difference here.
    this.redis = new Redis(redis as RedisOptions & { replyMapping?: "legacy" });
    this.address = addressOf(options.redis);
    // In half of the user's own deadline, so that there is time to ask elsewhere.
    const patienceMs = Math.min(hangsAfterMs, (options.redis.commandTimeout ?? hangsAfterMs * 2) / 2);
    this.#watch = new HangWatch(this.redis, patienceMs, options.onWatch, () => {
      if (!this.patient) this.reset();
    });
    this.#listen();
  }

  /** Whether a command would leave at once. */
  get ready(): boolean {
    return this.#ready && this.redis.status === "ready" && this.redis.stream.writable;
  }

  /** Whether the user has it that nothing waits for a connection, and there is none. */
  get refuses(): boolean {
    return this.server.enableOfflineQueue === false && !this.ready;
  }

  /** Commands sent and not answered. */
  get inFlight(): number {
    return this.redis.commandQueue.length;
  }

  /**
   * Gives a command to ioredis. With others in flight, or to be expected, its bytes wait for the end of this turn of the
   * event loop; alone it leaves at once, because then nothing would be saved by waiting.
   */
  send(command: Command): void {
    if (this.#outgoing === undefined && (this.inFlight > 0 || this.#company.isExpected)) this.cork();
    if (this.#outgoing !== undefined) this.#company.joins();
    if (this.server.reconnectOnError && !command.inTransaction) this.#resends.attend(command);
    this.redis.sendCommand(command, this.#outgoing);
    this.#watch.start();
  }

  /** Keeps all bytes until the end of this turn; `lastWord` is called just before they leave. */
  cork(lastWord?: () => void): void {
    if (lastWord !== undefined) this.#lastWords.push(lastWord);
    if (this.#outgoing !== undefined) return;
    this.#outgoing = new Outgoing(this.redis);
    this.#company.gathers();
    process.nextTick(() => this.endTurn());
  }

  /** Connects again after it was closed, or for the first time; rejects as ioredis does when there is nothing to do. */
  async open(): Promise<void> {
    if (this.closed && this.redis.status !== "end") await once(this.redis, "end");
    this.closed = false;
    this.#ended = false;
    await this.redis.connect();
  }

  /** Connects now if `lazyConnect` has kept it from that so far. */
  begin(): void {
    if (this.redis.status !== "wait" || this.closed) return;
    this.downSince = performance.now();
    this.redis.connect().catch(() => {});
  }

  /** Calls `start` once there is a connection, or with the reason why there will be none; `waits` as ioredis waits. */
  whenReady(start: Start, waits = this.patient && !this.refuses): void {
    this.begin();
    if (this.ready) start();
    else if (this.closed) start(new ClosedError());
    else if (this.#ended) start(new Error("Connection is closed.", { cause: this.#error }));
    else if (!waits) start(new Error("Stream isn't writeable and enableOfflineQueue options is false"));
    else this.#queue.add(start);
  }

  /** Has all that waits for a connection look for another one. */
  letGo(): void {
    this.#queue.failAll(new Error(`${this.address} is not the primary any more`));
  }

  /**
   * Resolves when all that was given is answered, and so is this; "quit" has the server close the connection then.
   * `before` is called when it is about to leave.
   */
  drained(by: "ping" | "quit", before: () => void = () => {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.closed && !this.ready && this.#queue.isEmpty) return resolve();
      this.whenReady((error) => {
        if (error !== undefined) return reject(error);
        before();
        const last = new Command(by);
        this.send(last);
        last.promise.then(() => resolve(), reject);
      });
    });
  }

  /** Ends the connection; what is in flight has a second to be answered, then it is rejected. */
  close(): void {
    this.closed = true;
    this.#ready = false;
    this.#watch.stop();
    clearTimeout(this.#handshake);
    this.endTurn();
    this.redis.disconnect();
    if (this.inFlight === 0) this.reset();
    else setTimeout(() => this.reset(), lastAnswersMs).unref();
    this.#queue.failAll(new ClosedError());
  }

  /** Takes nothing more, and ends the connection when what is in flight is answered, after a second in any case. */
  retire(): void {
    if (this.inFlight === 0) {
      this.close();
      return;
    }
    this.closed = true;
    this.#ready = false;
    this.endTurn();
    // A server that was made a replica says itself that it does not carry out what blocks there.
    const until = performance.now() + lastAnswersMs;
    const timer = setInterval(() => {
      if (this.inFlight > 0 && performance.now() < until) return;
      clearInterval(timer);
      this.close();
    }, lookMs).unref();
  }

  /** Ends the TCP connection when what was sent is answered; ioredis then connects anew. */
  reconnect(): void {
    this.endTurn();
    this.redis.disconnect(true);
  }

  /** Drops the TCP connection, so that everything in flight is rejected at once; ioredis then connects anew. */
  reset(): void {
    this.redis.stream?.destroy();
  }

  /** Has everything that waits for the end of this turn leave now. */
  endTurn(): void {
    if (this.#outgoing === undefined) return;
    this.#company.leaves();
    for (const lastWord of this.#lastWords) lastWord();
    this.#lastWords = [];
    this.#outgoing.letGo();
    this.#outgoing = undefined;
    this.turn += 1;
  }

  #listen(): void {
    const { redis } = this;
    redis.on("error", (error: Error) => {
      this.#error = error;
    });
    redis.on("connect", () => {
      const patience = this.server.connectTimeout ?? defaultConnectTimeoutMs;
      clearTimeout(this.#handshake);
      if (patience > 0) this.#handshake = setTimeout(() => this.reset(), patience);
    });
    redis.on("ready", () => {
      clearTimeout(this.#handshake);
      this.epoch += 1;
      this.#error = undefined;
      this.#ready = true;
      // In front of what has waited: the server may be another than before, or in another role.
      this.#options.onReady();
      this.#queue.startAll();
    });
    redis.on("close", () => {
      clearTimeout(this.#handshake);
      this.epoch += 1;
      if (this.#ready) this.downSince = performance.now();
      this.#ready = false;
      this.#options.onClose(this.#error);
      this.#queue.countFailure(this.#error);
    });
    redis.on("end", () => {
      this.#ended = true;
      this.#queue.failAll(new Error("Connection is closed.", { cause: this.#error }));
    });
  }
}
