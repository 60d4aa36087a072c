/** One ioredis client to one server: what leaves in one turn of the event loop leaves in one system call. */
import { once } from "node:events";
import { Command, Redis, type RedisOptions } from "ioredis";
import { addressOf } from "../address.js";
import { blockingTimeoutMs } from "../commands/blocking-timeout.js";
import { titleOf } from "../commands/command-kind.js";
import { ClosedError, InvalidOptionError, NoPrimaryError } from "../errors/errors.js";
import { withoutSecrets } from "../errors/secrets.js";
import { TurnBuffer, TurnEstimate } from "./auto-pipeline.js";
import { disconnect, forgetClosed } from "./disconnect.js";
import { OfflineQueue, type WhenReady } from "./offline-queue.js";
import {
  type Finding,
  isNotForwarded,
  ProxyDetection,
  plainHandshake,
  signOf,
  whyProxiesClose,
} from "./proxy-detection.js";
import { ReconnectOnError } from "./reconnect-on-error.js";
import { guardReplies } from "./reply-guard.js";
import { isOfSentinel, SentinelDetection } from "./sentinel-detection.js";
import { StallDetector } from "./stall-detector.js";

/** How a connection differs from ioredis's own defaults. */
export interface ConnectionOptions {
  readonly redis: RedisOptions;
  /** See {@link Connection.waitsForConnection}. */
  readonly patient: boolean;
  /**
   * How long a command of a patient connection waits for it to be ready, unless the user's `maxRetriesPerRequest` says
   * otherwise, and how long the server may leave what was sent unanswered without a byte; in milliseconds.
   */
  readonly timeoutMs: number;
  /** Whether the server may be silent for as long as it likes, because commands that block are sent. */
  readonly mayBlock: boolean;
  /** Called when a TCP connection is ready for commands. */
  readonly onReady: () => void;
  /** Called when it is gone, or could not be had, with the latest error on the way. */
  readonly onClose: (error: Error | undefined) => void;
  /** Called now and then while commands are unanswered. */
  readonly onWatch: () => void;
  /** Called when a patient connection is dropped because the server was silent for too long. */
  readonly onDrop: () => void;
  /** See {@link Connection.proxySign}. */
  readonly proxySign?: string | undefined;
  /** Called when {@link Connection.proxySign} has changed. */
  readonly onJudged: () => void;
}

/** Called with how attempts to connect end. */
export interface AttemptWatcher {
  succeeded(): void;
  /** Not called for a server that turns out to be a proxy that spreads commands, which is connected to in another way then. */
  failed(): void;
}

/** An error that a server has answered a handshake with, such as WRONGPASS, and when, on the monotonic clock. */
export interface Refusal {
  readonly error: Error;
  readonly at: number;
}

/** A command that waits for a connection. */
export interface Wait {
  /** Named in the error. */
  readonly command: string;
  /** Since when, on the monotonic clock; now if left out. */
  readonly since?: number | undefined;
  /** Whether it waits at all; if left out, whether one does in ioredis. */
  readonly waits?: boolean;
}

/** A server that has not answered for so long is taken to be gone; in milliseconds. */
export const absenceMs = 1_000;
const retryMaxMs = 500;
/**
 * How often a server is asked whether it has loaded its data, unless the user has `maxLoadingRetryTime`. With ioredis's default
 * of 10 seconds it would be used up to that much later than it could be.
 */
const loadingRetryMs = 500;
const lastAnswersMs = 1_000;
/** How often a connection that is to be ended is looked at. */
const lookMs = 20;
/** An impatient connection that leaves commands unanswered for so long is given up, and they are sent elsewhere. */
const hangsAfterMs = 750;
const defaultConnectTimeoutMs = 10_000;
/** A handshake that is answered takes longer only with a server that is LOADING. */
const handshakeMs = 250;

/**
 * Nothing is ever sent again by ioredis itself: what was unanswered when a connection closed is rejected, and
 * the one who gave the command decides. So a reply always comes over the connection that carried its command.
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
  waitsForConnection: boolean;
  /** See {@link ConnectionOptions.timeoutMs}. */
  readonly timeoutMs: number;
  /** Counts TCP connections; two commands went over the same one when it did not change between them. */
  epoch = 0;
  /** Counts turns of the event loop in which something was sent. */
  turn = 0;
  /** Whether it was ended on purpose. */
  closed = false;
  /** Since when there is no connection, on the monotonic clock; of no meaning while there is one. */
  downSince = performance.now();
  /** When the latest TCP connection was made, on the monotonic clock. */
  #connectedAt = Number.NEGATIVE_INFINITY;
  /** The error that the server answered the latest handshake with, and when; undefined when it did not. */
  refusal: Refusal | undefined;
  /** The error that the server answers the handshake of now with. */
  #refused: Error | undefined;
  /**
   * How the server shows that it is a proxy that spreads commands over several servers; undefined if it does not. Such a
   * connection begins plainly, and is never asked for what only one server knows of itself.
   */
  proxySign: string | undefined;
  /** The options of the handshake with a server that is no such proxy. */
  readonly #handshakeOptions: Partial<RedisOptions>;
  /** Whether the latest attempt to connect was made as to such a proxy. */
  #isPlain = false;
  /** Whether there is a TCP connection that is not ready yet, and that this side has not given up. */
  #isBeginning = false;
  readonly #examiner: ProxyDetection;
  /** For how long the server was silent when the connection was dropped for that. */
  #silenceMs = 0;
  #ready = false;
  #ended = false;
  #error: Error | undefined;
  /** Why the server has ended an attempt to connect, by its own first words or as far as can be known; until it is ready. */
  #complaint: Error | undefined;
  #firstWords = "";
  #introduction: SentinelDetection | undefined;
  /** The bytes of this turn, if any wait for its end. */
  #outgoing: TurnBuffer | undefined;
  #lastWords: (() => void)[] = [];
  readonly #company = new TurnEstimate();
  readonly #resends: ReconnectOnError;
  readonly #queue: OfflineQueue;
  readonly #watch: StallDetector;
  #handshake: NodeJS.Timeout | undefined;
  #watcher: AttemptWatcher | undefined;
  readonly #options: ConnectionOptions;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.server = options.redis;
    this.waitsForConnection = options.patient;
    this.timeoutMs = options.timeoutMs;
    this.#queue = new OfflineQueue(options.redis.maxRetriesPerRequest ?? Number.POSITIVE_INFINITY);
    this.#resends = new ReconnectOnError(this);
    this.#examiner = new ProxyDetection(options.redis, (found) => this.#take(found));
    // Sooner than ioredis by itself, which waits up to five seconds in the end: commands do not wait for longer than that.
    const retryStrategy = (times: number): number => Math.min(times * 50, retryMaxMs);
    const redis: RedisOptions = {
      ...options.redis,
      ...(options.patient && options.redis.retryStrategy !== undefined ? {} : { retryStrategy }),
      maxLoadingRetryTime: options.redis.maxLoadingRetryTime ?? loadingRetryMs,
      reconnectOnError: (error) => this.#resends.reconnectOn(error, this.waitsForConnection),
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
    guardReplies(this.redis);
    const { protocol, enableReadyCheck, disableClientInfo, connectionName } = this.redis.options;
    this.#handshakeOptions = { protocol, enableReadyCheck, disableClientInfo, connectionName };
    this.proxySign = options.proxySign;
    if (this.proxySign !== undefined) Object.assign(this.redis.options, plainHandshake);
    this.address = addressOf(options.redis);
    // In half of the user's own deadline, so that there is time to ask elsewhere.
    const patienceMs = Math.min(hangsAfterMs, (options.redis.commandTimeout ?? hangsAfterMs * 2) / 2);
    this.#watch = new StallDetector(this.redis, {
      limitMs: () => (this.waitsForConnection ? this.#silenceLimitMs() : patienceMs),
      onLook: options.onWatch,
      onHang: () => this.#drop(),
    });
    this.#listen();
  }

  /** Whether a command would leave at once. */
  get ready(): boolean {
    return this.#ready && this.redis.status === "ready" && this.redis.stream.writable;
  }

  /** The latest error on the way to the server; undefined while there is a connection, unless a proxy has just closed it. */
  get error(): Error | undefined {
    return this.#error ?? (this.proxySign === undefined ? undefined : new Error(whyProxiesClose));
  }

  /** For how long it has not answered, in milliseconds: there is no connection, or all that was sent is unanswered. */
  get absentMs(): number {
    return this.#ready ? this.#watch.silentMs : performance.now() - this.downSince;
  }

  /** How long the server may be silent: for the time that a command blocks, plus the usual limit. */
  #silenceLimitMs(): number {
    const front = this.redis.commandQueue.peekFront()?.command;
    if (!this.#options.mayBlock || front === undefined) return this.timeoutMs;
    if (/^wait(aof)?$/i.test(front.name)) return Number.POSITIVE_INFINITY;
    if (!Command.checkFlag("BLOCKING_COMMANDS", front.name)) return this.timeoutMs;
    return blockingTimeoutMs(front) + this.timeoutMs;
  }

  /** Whether a command would be answered, as far as is known: there is a connection, and the server is not silent. */
  get answers(): boolean {
    return this.ready && this.#watch.silentMs < absenceMs;
  }

  /** Why it does not answer, for people. */
  get fault(): string {
    const { status, stream } = this.redis;
    if (this.ready) return silenceOf(this.absentMs).message;
    if (this.#cause !== undefined) return textOf(this.#cause);
    if (status === "connecting") return "connecting takes too long; check the host, the port and TLS";
    if (status !== "connect") return "not connected";
    if (stream.bytesRead === 0) return "it takes connections, but does not answer";
    return "it answers, but is not ready, for example because it is LOADING its data";
  }

  /** Whether the server has answered, but keeps the handshake waiting because it loads its data. */
  get isLoading(): boolean {
    const { status, stream } = this.redis;
    if (status !== "connect" || stream.bytesRead === 0) return false;
    return this.#refused === undefined && performance.now() - this.#connectedAt > handshakeMs;
  }

  /** Whether the user has it that nothing waits for a connection, and there is none. */
  get refuses(): boolean {
    return this.server.enableOfflineQueue === false && !this.ready;
  }

  /** Commands sent and not answered. */
  get inFlight(): number {
    return this.redis.commandQueue.length;
  }

  /** Whether commands wait for it, or for their answers, other than those that block for longer than `ms`. */
  isBusyFor(ms: number): boolean {
    if (!this.#queue.isEmpty) return true;
    const front = this.redis.commandQueue.peekFront()?.command;
    if (!this.#ready || front === undefined) return false;
    const blocks = this.#options.mayBlock && Command.checkFlag("BLOCKING_COMMANDS", front.name);
    return !blocks || blockingTimeoutMs(front) <= ms;
  }

  /**
   * Gives a command to ioredis. With others in flight, or to be expected, its bytes wait for the end of this turn of the
   * event loop; alone it leaves at once, because then nothing would be saved by waiting.
   */
  send(command: Command): void {
    if (this.#outgoing === undefined && (this.inFlight > 0 || this.#company.expectsMore)) this.beginTurn();
    if (this.#outgoing !== undefined) this.#company.commandAdded();
    if (this.server.reconnectOnError && !command.inTransaction) this.#resends.attend(command);
    this.redis.sendCommand(command, this.#outgoing);
    this.#watch.start();
  }

  /** Keeps all bytes until the end of this turn; `lastWord` is called just before they leave. */
  beginTurn(lastWord?: () => void): void {
    if (lastWord !== undefined) this.#lastWords.push(lastWord);
    if (this.#outgoing !== undefined) return;
    this.#outgoing = new TurnBuffer(this.redis);
    this.#company.turnBegan();
    process.nextTick(() => this.flush());
  }

  /** Sends ASKING: the server carries out the next command, or the next transaction, though its slot is only on its way there. */
  allowMovingSlot(): void {
    const asking = new Command("asking");
    asking.reject = () => {};
    this.beginTurn();
    this.send(asking);
  }

  /** Connects again after it was closed, or for the first time; rejects as ioredis does when there is nothing to do. */
  async open(): Promise<void> {
    if (this.closed && this.redis.status !== "end") await once(this.redis, "end");
    this.closed = false;
    this.#ended = false;
    await this.redis.connect();
  }

  /** Connects now if `lazyConnect` has kept it from that so far. */
  connectIfLazy(): void {
    if (this.redis.status !== "wait" || this.closed) return;
    this.downSince = performance.now();
    this.redis.connect().catch(() => {});
  }

  /** One at a time. */
  watchAttempts(watcher: AttemptWatcher): void {
    this.#watcher = watcher;
  }

  /** Calls `start` once there is a connection, or with the reason why there is none by the time it has waited enough. */
  whenReady(
    start: WhenReady,
    { command, since, waits = this.waitsForConnection && !this.refuses }: Wait,
  ): void {
    this.connectIfLazy();
    if (this.ready) start();
    else if (this.over !== undefined) start(this.over);
    else if (!waits) start(new Error("Stream isn't writeable and enableOfflineQueue options is false"));
    else {
      const waitedMs = since === undefined ? 0 : performance.now() - since;
      this.#queue.add(start, this.#patienceMs - waitedMs, () => this.absence(command));
    }
  }

  /** Why there will never be a connection; undefined while there may be one. */
  get over(): Error | undefined {
    if (this.closed) return new ClosedError();
    if (!this.#ended) return undefined;
    return this.refusal?.error ?? new Error("Connection is closed.", { cause: this.#error });
  }

  /** The error of a command that has waited in vain. */
  absence(command: string): Error {
    const error = this.over ?? this.refusal?.error;
    return error ?? new NoPrimaryError(titleOf(command), this.address, this.fault, { cause: this.#cause });
  }

  /** A server that closes the connection says why, and writing to it then fails for another reason. */
  get #cause(): Error | undefined {
    return this.#complaint ?? this.#error;
  }

  /** How long commands wait for a connection; where the user counts attempts instead, as long as these take. */
  get #patienceMs(): number {
    return this.server.maxRetriesPerRequest === undefined ? this.timeoutMs : Number.POSITIVE_INFINITY;
  }

  /** Has all that waits for a connection look for another one. */
  failWaiting(): void {
    this.#queue.failAll(new Error(`${this.address} is not the primary any more`));
  }

  /**
   * Resolves when all that was given is answered, and so is this; "quit" has the server close the connection then.
   * `before` is called when it is about to leave.
   */
  drained(by: "ping" | "quit", before: () => void = () => {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.closed && !this.ready && this.#queue.isEmpty) return resolve();
      const sendLast: WhenReady = (error) => {
        if (error !== undefined) return reject(error);
        before();
        const last = new Command(by);
        this.send(last);
        last.promise.then(() => resolve(), reject);
      };
      this.whenReady(sendLast, { command: by });
    });
  }

  /** Ends the connection; what is in flight has a second to be answered, then it is rejected. */
  close(): void {
    this.closed = true;
    this.#ready = false;
    this.#watch.stop();
    clearTimeout(this.#handshake);
    this.#examiner.stop();
    this.flush();
    disconnect(this.redis);
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
    this.flush();
    // A server that was made a replica says itself that it does not carry out what blocks there.
    const until = performance.now() + lastAnswersMs;
    const timer = setInterval(() => {
      if (this.inFlight > 0 && performance.now() < until) return;
      clearInterval(timer);
      this.close();
      // It has had its second.
      this.reset();
    }, lookMs).unref();
  }

  /** Ends the TCP connection when what was sent is answered; ioredis then connects again. */
  reconnect(): void {
    this.flush();
    this.redis.disconnect(true);
  }

  /**
   * Expects no answers but those that are on their way, because another server has become the primary. A server that hands
   * over is silent for as long as its replica lags, and then refuses what is in flight. One that is frozen may wake up and
   * acknowledge writes that its successor does not have, so it gets a moment only.
   */
  yields(): void {
    this.waitsForConnection = false;
    this.#watch.shorten();
  }

  /** Drops the TCP connection, so that everything in flight is rejected at once; ioredis then connects again. */
  reset(): void {
    this.#isBeginning = false;
    this.redis.stream?.destroy();
  }

  /** Takes in how the server shows that it is a proxy that spreads commands, or with undefined that it is none. */
  judge(proxySign: string | undefined): void {
    if (this.proxySign === proxySign) return;
    this.proxySign = proxySign;
    Object.assign(this.redis.options, proxySign === undefined ? this.#handshakeOptions : plainHandshake);
    this.#options.onJudged();
  }

  /** Gives up a server that is silent. */
  #drop(): void {
    this.#silenceMs = this.absentMs;
    this.#error = silenceOf(this.#silenceMs);
    this.reset();
    if (this.waitsForConnection) this.#options.onDrop();
  }

  /** Has everything that waits for the end of this turn leave now. */
  flush(): void {
    if (this.#outgoing === undefined) return;
    this.#company.turnEnded();
    for (const lastWord of this.#lastWords) lastWord();
    this.#lastWords = [];
    this.#outgoing.letGo();
    this.#outgoing = undefined;
    this.turn += 1;
  }

  #listen(): void {
    const { redis } = this;
    forgetClosed(redis);
    redis.on("error", (error: Error) => {
      this.#error = withoutSecrets(error, this.server);
      if (redis.status === "connect" && error.name === "ReplyError" && !isNotForwarded(error))
        this.#refused = error;
    });
    redis.on("connecting", () => {
      this.#isPlain = this.proxySign !== undefined;
    });
    redis.on("connect", () => {
      this.#isBeginning = true;
      this.#connectedAt = performance.now();
      this.#expectHandshake(0);
      redis.stream.once("data", (bytes: unknown) => {
        this.#firstWords = String(bytes);
      });
      this.#introduction?.end();
      this.#introduction = new SentinelDetection(redis.stream);
    });
    redis.on("ready", () => {
      const isSentinel = this.#introduction?.end();
      // ioredis 5 also says so of a connection that closed during the handshake, and would then never connect again.
      if (!redis.stream.writable) redis.status = "reconnecting";
      else if (isSentinel) this.#refuseSentinel();
      else if (this.server.db) this.#select(this.server.db);
      else this.#probe();
    });
    redis.on("close", () => {
      clearTimeout(this.#handshake);
      this.epoch += 1;
      const wasReady = this.#ready;
      if (wasReady) this.downSince = performance.now() - this.#silenceMs;
      this.#silenceMs = 0;
      this.#ready = false;
      const complaint = withoutSecrets(complaintIn(this.#firstWords), this.server);
      this.#firstWords = "";
      const isCut =
        this.#isBeginning && !this.closed && (complaint === undefined || isNotForwarded(complaint));
      if (complaint !== undefined) this.#complaint = complaint;
      else if (isCut && this.#isPlain) this.#complaint = new Error(this.#handshakeFault);
      this.#isBeginning = false;
      this.#examiner.forgoNext();
      this.refusal = this.#refused && { error: this.#refused, at: performance.now() };
      this.#refused = undefined;
      this.#options.onClose(this.#cause);
      // As in ioredis, which goes on connecting: a command that is given from now on waits for the next attempt.
      if (this.refusal !== undefined) this.#queue.failAll(this.refusal.error);
      else if (isCut && this.#mayBeProxy()) return;
      else this.#queue.countFailure(this.#error);
      // A connection that breaks is no outage before the next attempt fails.
      if (!wasReady) this.#failed();
    });
    redis.on("end", () => {
      this.#ended = true;
      // A connector that finds no server ends the client without a connection that could close.
      this.#failed();
      if (this.over !== undefined) this.#queue.failAll(this.over);
    });
  }

  /** Whether a server that has closed the connection during the handshake does so as a proxy, which is known or is found out. */
  #mayBeProxy(): boolean {
    return this.proxySign === undefined ? this.#examiner.start() : !this.#isPlain;
  }

  #failed(): void {
    if (!this.closed && this.#cause !== undefined) this.#watcher?.failed();
  }

  /**
   * Gives up a server that sends nothing for as long as connecting may take. One that answers, for example that it is
   * LOADING, is waited for: on a new connection ioredis would ask it a second time beside the first.
   */
  #expectHandshake(bytesRead: number): void {
    const patience = this.server.connectTimeout ?? defaultConnectTimeoutMs;
    clearTimeout(this.#handshake);
    if (patience <= 0) return;
    this.#handshake = setTimeout(() => {
      const { stream } = this.redis;
      if (stream.bytesRead > bytesRead) {
        this.#expectHandshake(stream.bytesRead);
        return;
      }
      this.#error = new Error(this.fault);
      this.reset();
    }, patience);
  }

  #begin(): void {
    clearTimeout(this.#handshake);
    this.epoch += 1;
    this.#error = undefined;
    this.#complaint = undefined;
    this.#firstWords = "";
    this.#refused = undefined;
    this.refusal = undefined;
    this.#isBeginning = false;
    this.#ready = true;
    this.#watcher?.succeeded();
    if (this.proxySign !== undefined && !this.#options.mayBlock) this.#examiner.startSoon();
    // In front of what has waited: the server may be another than before, or in another role.
    this.#options.onReady();
    this.#queue.startAll();
  }

  /**
   * Selects the database, and takes a refusal as one of the whole handshake. ioredis has sent SELECT too, but it goes on when
   * SELECT is refused, so commands would reach database 0. ioredis 5 does not even wait for the answer.
   */
  #select(db: number): void {
    this.#check(
      new Command("select", [db]),
      () => this.#probe(),
      (error) => {
        const refuse = (): void => this.#refuse(error);
        if (isNotForwarded(error)) this.#unlessSentinel(refuse);
        else refuse();
      },
    );
  }

  /** Asks for INFO first where ioredis has not: a proxy may close the connection on that, with commands on their way. */
  #probe(): void {
    if (this.redis.options.enableReadyCheck || this.#options.mayBlock || this.proxySign !== undefined) {
      this.#begin();
      return;
    }
    this.#check(
      new Command("info", ["replication"]),
      // A Sentinel has no words about replication.
      (reply) => (String(reply) === "" ? this.#unlessSentinel(() => this.#begin()) : this.#begin()),
      (error) => {
        if (isNotForwarded(error)) this.judge(signOf(withoutSecrets(error, this.server)));
        this.#begin();
      },
    );
  }

  /** Refuses a Sentinel, else goes on; where ioredis has not asked for INFO, nothing else has told. */
  #unlessSentinel(goOn: () => void): void {
    const take = (reply: unknown): void => (isOfSentinel(reply) ? this.#refuseSentinel() : goOn());
    this.#check(new Command("info", ["server"]), take, goOn);
  }

  #refuseSentinel(): void {
    const remedy = "give it as `sentinels`, with the `name` that it has for the primary";
    this.#refuse(new InvalidOptionError(this.address, undefined, remedy, "is a Sentinel, which has no data"));
  }

  /** Has the server answer a question before it is sent commands. */
  #check(question: Command, onAnswer: (reply: unknown) => void, onRefusal: (error: Error) => void): void {
    const { stream } = this.redis;
    const isCurrent = (): boolean => this.#isBeginning && this.redis.stream === stream;
    question.resolve = (reply) => {
      if (isCurrent()) onAnswer(reply);
    };
    question.reject = (error) => {
      if (error.name === "ReplyError" && isCurrent()) onRefusal(error);
    };
    this.redis.sendCommand(question);
  }

  /** Gives up a connection whose handshake the server has refused; ioredis then reconnects. */
  #refuse(error: Error): void {
    this.#error = withoutSecrets(error, this.server);
    // It says more than any earlier words of the server.
    this.#complaint = error;
    this.#firstWords = "";
    this.#refused = error;
    this.#isBeginning = false;
    // ioredis finds nothing wrong with the handshake, so it tells nobody.
    this.redis.once("close", () => this.redis.emit("error", error));
    this.redis.disconnect(true);
  }

  #take(found: Finding | Error): void {
    if (this.closed) return;
    if (!(found instanceof Error)) this.judge(found.sign);
    else if (this.#ready) this.#examiner.startSoon();
    // It says more than that the connection was closed, for example that the password is wrong.
    else if (found.name === "ReplyError") this.#complaint = found;
    if (this.#ready) return;
    if (this.proxySign === undefined) {
      this.#queue.countFailure(this.#error);
      this.#failed();
    } else if (this.redis.status === "reconnecting") this.redis.connect().catch(() => {});
  }

  /** Why a proxy closes the connection in spite of a plain handshake, as far as can be known. */
  get #handshakeFault(): string {
    const { db } = this.server;
    return db
      ? `it is a proxy and closes the connection when it is sent SELECT ${db}; leave out db`
      : "it is a proxy and closes the connection during the handshake";
  }
}

/** The error in a server's first words, if they are one. */
function complaintIn(words: string): Error | undefined {
  const [, text] = /^-(.*)\r\n/.exec(words) ?? [];
  return text === undefined ? undefined : new Error(text);
}

function silenceOf(ms: number): Error {
  return new Error(`it has left commands unanswered for ${Math.round(ms)} ms`);
}

/** Node's error for a host with several addresses that all fail has no message. */
function textOf(error: Error): string {
  return error.message || String(Reflect.get(error, "code") ?? error.name);
}
