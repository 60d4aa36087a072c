/** One ioredis client to one server. It sends the commands of one turn of the event loop together. */
import { once } from "node:events";
import { setImmediate } from "node:timers";
import { Command, type Redis, type RedisOptions } from "ioredis";
import { addressOf } from "../address.js";
import { blockingTimeoutMs } from "../commands/blocking-timeout.js";
import { titleOf } from "../commands/command-kind.js";
import { ClosedError, InvalidOptionError, NoPrimaryError } from "../errors/errors.js";
import { withoutSecrets } from "../errors/secrets.js";
import { TurnBuffer, TurnEstimate } from "./auto-pipeline.js";
import { connectNow } from "./connect-now.js";
import { disconnect, forgetClosed } from "./disconnect.js";
import { OfflineQueue, type WhenReady } from "./offline-queue.js";
import { OwnClient } from "./own-client.js";
import {
  type DetectionResult,
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
  readonly waitsForConnection: boolean;
  /**
   * How long a command waits for a connection, in milliseconds, if commands wait at all and the user has not set
   * `maxRetriesPerRequest`. Also how long the server may leave commands unanswered without sending a byte.
   */
  readonly timeoutMs: number;
  /** Whether blocking commands are sent, so that the server may be silent for as long as they block. */
  readonly mayBlock: boolean;
  /** Called when a TCP connection is ready for commands. */
  readonly onReady: () => void;
  /** Called when the TCP connection has closed or could not be made, with the latest error. */
  readonly onClose: (error: Error | undefined) => void;
  /** Called now and then while commands are unanswered. */
  readonly onTick: () => void;
  /** Called when a connection that commands wait for is dropped because the server was silent for too long. */
  readonly onDrop: () => void;
  /** See {@link Connection.proxySign}. */
  readonly proxySign?: string | undefined;
  /** Called when {@link Connection.proxySign} has changed. */
  readonly onJudged: () => void;
}

/** An error with which a server has refused a handshake, such as WRONGPASS, and the time of the refusal on the monotonic clock. */
export interface Refusal {
  readonly error: Error;
  readonly at: number;
}

/** A command that waits for a connection. */
export interface Wait {
  /** The command that the error names. */
  readonly command: string;
  /** Since when the command waits, on the monotonic clock. Default now. */
  readonly since?: number | undefined;
  /**
   * Whether the command waits at all. By default commands wait if the connection is to a primary and `enableOfflineQueue` is not
   * false.
   */
  readonly waits?: boolean;
}

/** A server that has not answered for this long counts as gone, in milliseconds. */
export const absenceMs = 1_000;
const retryMaxMs = 500;
/**
 * How often a server is asked whether it has loaded its data, unless the user sets `maxLoadingRetryTime`. With ioredis's default
 * the server would be used up to 10 seconds later than possible.
 */
const loadingRetryMs = 500;
const lastAnswersMs = 1_000;
/** How often a connection that is being retired is checked for unanswered commands. */
const retireCheckMs = 20;
/** A connection that commands do not wait for is given up after this long without answers. Its commands are then sent elsewhere. */
const stalledAfterMs = 750;
const defaultConnectTimeoutMs = 10_000;
/** A server that answers the handshake needs longer than this only if it is LOADING. */
const handshakeMs = 250;

/**
 * ioredis itself never sends a command again. Commands that were unanswered when a connection closed are rejected, and their
 * callers decide what to do. So a reply always comes over the connection that carried its command.
 */
export class Connection {
  readonly redis: Redis;
  /** The options that connect to the server, as they were given. */
  readonly server: RedisOptions;
  readonly address: string;
  /**
   * Whether commands wait for a connection, as in ioredis's offline queue, and for an answer, however long it takes. This is so
   * for the primary, because writes need it. A read can be sent elsewhere instead.
   */
  waitsForConnection: boolean;
  /** See {@link ConnectionOptions.timeoutMs}. */
  readonly timeoutMs: number;
  /** Counts TCP connections. If it has not changed between two commands, both went over the same connection. */
  epoch = 0;
  /** Counts the turns of the event loop whose commands were sent together. */
  turn = 0;
  /** Whether the connection was ended on purpose. */
  closed = false;
  /** Since when there is no connection, on the monotonic clock. Meaningless while there is a connection. */
  downSince = performance.now();
  /** When the latest TCP connection was made, on the monotonic clock. */
  #connectedAt = Number.NEGATIVE_INFINITY;
  /** The error with which the server refused the latest handshake, and when. Undefined if it did not refuse it. */
  refusal: Refusal | undefined;
  /** The error with which the server refuses the present handshake. */
  #refused: Error | undefined;
  /**
   * How the server shows that it is a proxy that spreads commands over several servers. Undefined if it does not. A connection
   * to such a proxy begins with a plain handshake, and no question about a single server is sent on it.
   */
  proxySign: string | undefined;
  /** The options of the handshake with a server that is not a proxy. */
  readonly #handshakeOptions: Partial<RedisOptions>;
  /** Whether the latest attempt to connect used the plain handshake. */
  #isPlain = false;
  /** Whether there is a TCP connection that is not ready yet, and that this side has not given up. */
  #isBeginning = false;
  readonly #proxyDetection: ProxyDetection;
  /** For how long the server had been silent when the connection was dropped because of the silence. */
  #silenceMs = 0;
  #ready = false;
  #ended = false;
  #error: Error | undefined;
  /**
   * Why the server ended an attempt to connect: the first words of the server, or what else is known. Kept until a connection is
   * ready.
   */
  #closeReason: Error | undefined;
  #firstWords = "";
  #sentinelDetection: SentinelDetection | undefined;
  /** The bytes that wait for the end of this turn. Undefined if there are none. */
  #turnBuffer: TurnBuffer | undefined;
  #beforeFlush: (() => void)[] = [];
  readonly #turnEstimate = new TurnEstimate();
  readonly #reconnectOnError: ReconnectOnError;
  readonly #queue: OfflineQueue;
  readonly #stallDetector: StallDetector;
  #handshake: NodeJS.Timeout | undefined;
  #onAttempt: ((succeeded: boolean) => void) | undefined;
  readonly #options: ConnectionOptions;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.server = options.redis;
    this.waitsForConnection = options.waitsForConnection;
    this.timeoutMs = options.timeoutMs;
    this.#queue = new OfflineQueue(options.redis.maxRetriesPerRequest ?? Number.POSITIVE_INFINITY);
    this.#reconnectOnError = new ReconnectOnError(options.redis);
    this.#proxyDetection = new ProxyDetection(options.redis, (result) => this.#proxyDetected(result));
    // The waits of ioredis itself between attempts grow to five seconds, but by default a command waits no longer than five seconds
    // in all.
    const retryStrategy = (times: number): number => Math.min(times * 50, retryMaxMs);
    const redis: RedisOptions = {
      ...options.redis,
      ...(options.waitsForConnection && options.redis.retryStrategy !== undefined ? {} : { retryStrategy }),
      maxLoadingRetryTime: options.redis.maxLoadingRetryTime ?? loadingRetryMs,
      reconnectOnError: (error) => {
        const decision = this.#reconnectOnError.decide(error, this.waitsForConnection);
        // ioredis is about to disconnect, so the commands of this turn cannot wait until the end of the turn.
        if (decision) this.flush();
        return decision;
      },
      enableOfflineQueue: false,
      enableAutoPipelining: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: undefined,
      blockingTimeout: undefined,
      keyPrefix: "",
    };
    // ioredis 6 types a client by its replyMapping. The user's choice makes no difference here.
    this.redis = new OwnClient(redis as RedisOptions & { replyMapping?: "legacy" });
    guardReplies(this.redis);
    const { protocol, enableReadyCheck, disableClientInfo, connectionName } = this.redis.options;
    this.#handshakeOptions = { protocol, enableReadyCheck, disableClientInfo, connectionName };
    this.proxySign = options.proxySign;
    if (this.proxySign !== undefined) Object.assign(this.redis.options, plainHandshake);
    this.address = addressOf(options.redis);
    // At most half of the user's own timeout, so that there is time to ask another server.
    const patienceMs = Math.min(stalledAfterMs, (options.redis.commandTimeout ?? stalledAfterMs * 2) / 2);
    this.#stallDetector = new StallDetector(this.redis, {
      limitMs: () => (this.waitsForConnection ? this.#silenceLimitMs() : patienceMs),
      onTick: options.onTick,
      onStall: () => this.#drop(),
    });
    this.#listen();
  }

  /** Whether a command would be sent at once. */
  get ready(): boolean {
    return this.#ready && this.redis.status === "ready" && this.redis.stream.writable;
  }

  /** The latest error of the connection. Undefined while there is a connection, unless a proxy has just closed one. */
  get error(): Error | undefined {
    return this.#error ?? (this.proxySign === undefined ? undefined : new Error(whyProxiesClose));
  }

  /** For how long there has been no connection, or the server has left commands unanswered, in milliseconds. */
  get absentMs(): number {
    return this.#ready ? this.#stallDetector.silentMs : performance.now() - this.downSince;
  }

  /** How long the server may be silent: the usual limit, plus the time for which the present command blocks. */
  #silenceLimitMs(): number {
    const front = this.redis.commandQueue.peekFront()?.command;
    if (!this.#options.mayBlock || front === undefined) return this.timeoutMs;
    if (/^wait(aof)?$/i.test(front.name)) return Number.POSITIVE_INFINITY;
    if (!Command.checkFlag("BLOCKING_COMMANDS", front.name)) return this.timeoutMs;
    return blockingTimeoutMs(front) + this.timeoutMs;
  }

  /** Whether a command would be answered, as far as known: there is a connection, and the server is not silent. */
  get answers(): boolean {
    return this.ready && this.#stallDetector.silentMs < absenceMs;
  }

  /** Why the server does not answer, for people to read. */
  get fault(): string {
    const { status, stream } = this.redis;
    if (this.ready) return silenceOf(this.absentMs).message;
    if (this.#cause !== undefined) return textOf(this.#cause);
    if (status === "connecting") return "connecting takes too long, so check the host, the port and TLS";
    if (status !== "connect") return "not connected";
    if (stream.bytesRead === 0) return "it accepts connections, but does not answer";
    return "it answers, but is not ready, for example because it is LOADING its data";
  }

  /** Whether the server answers, but delays the handshake because it loads its data. */
  get isLoading(): boolean {
    const { status, stream } = this.redis;
    if (status !== "connect" || stream.bytesRead === 0) return false;
    return this.#refused === undefined && performance.now() - this.#connectedAt > handshakeMs;
  }

  /** Whether there is no connection, and the user has chosen that commands do not wait for one. */
  get refuses(): boolean {
    return this.server.enableOfflineQueue === false && !this.ready;
  }

  /** The number of commands that were sent and are unanswered. */
  get inFlight(): number {
    return this.redis.commandQueue.length;
  }

  /** Whether commands wait for the connection or for answers. Commands that block for longer than `ms` do not count. */
  isBusyFor(ms: number): boolean {
    if (!this.#queue.isEmpty) return true;
    const front = this.redis.commandQueue.peekFront()?.command;
    if (!this.#ready || front === undefined) return false;
    const blocks = this.#options.mayBlock && Command.checkFlag("BLOCKING_COMMANDS", front.name);
    return !blocks || blockingTimeoutMs(front) <= ms;
  }

  /** Sends a command that a user gave. If users give more than one command in a turn, they may do so in the next turns too. */
  sendGiven(command: Command): void {
    this.send(command);
    if (this.#turnBuffer !== undefined) this.#turnEstimate.commandGiven();
  }

  /**
   * Gives a command to ioredis. If other commands are in flight or expected, its bytes wait for the end of this turn, see
   * {@link beginTurn}. A single command is sent at once, because waiting would save nothing.
   */
  send(command: Command): void {
    if (this.#turnBuffer === undefined && (this.inFlight > 0 || this.#turnEstimate.expectsMore))
      this.beginTurn();
    if (this.server.reconnectOnError && !command.inTransaction) this.#resendIfDue(command);
    this.redis.sendCommand(command, this.#turnBuffer);
    this.#stallDetector.start();
  }

  /**
   * Gathers commands until the end of this turn. `beforeFlush` is called just before the last of them are sent. A turn ends with the
   * iteration of the event loop, or earlier if nothing else is in flight or expected, or if it has gathered many commands already.
   */
  beginTurn(beforeFlush?: () => void): void {
    if (beforeFlush !== undefined) this.#beforeFlush.push(beforeFlush);
    if (this.#turnBuffer !== undefined) return;
    const gathers = this.inFlight > 0 || this.#turnEstimate.expectsMore;
    const buffer = new TurnBuffer(this.redis);
    this.#turnBuffer = buffer;
    this.#turnEstimate.turnBegan();
    const end = (): void => {
      if (this.#turnBuffer === buffer) this.flush();
    };
    // Requests and replies that have already arrived are handled one after another, and an immediate is called after all of them.
    // So the commands that they bring are sent together, and the writes among them share one INFO.
    process.nextTick(() => {
      if (gathers && !this.#turnEstimate.hasMany) setImmediate(end);
      else end();
    });
  }

  /** Sends ASKING. The server then executes the next command or transaction although its slot has not fully moved there. */
  allowMovingSlot(): void {
    const asking = new Command("asking");
    asking.reject = () => {};
    this.beginTurn();
    this.send(asking);
  }

  /** Connects for the first time, or again after {@link close}. Rejects like ioredis if there is nothing to do. */
  async open(): Promise<void> {
    if (this.closed && this.redis.status !== "end") await once(this.redis, "end");
    this.closed = false;
    this.#ended = false;
    await connectNow(this.redis);
  }

  /** Connects now if `lazyConnect` has prevented that so far. */
  connectIfLazy(): void {
    if (this.redis.status !== "wait" || this.closed) return;
    this.downSince = performance.now();
    this.redis.connect().catch(() => {});
  }

  /**
   * Calls `onAttempt` after each attempt to connect, with whether the attempt has succeeded. Replaces an earlier `onAttempt`.
   * Attempts that show that the server is a proxy that spreads commands are skipped, because Tidemark then connects in another way.
   */
  watchAttempts(onAttempt: (succeeded: boolean) => void): void {
    this.#onAttempt = onAttempt;
  }

  /** Calls `start` once there is a connection. If there is none in time, it calls `start` with the reason. */
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

  /** Why there will never be a connection. Undefined while there may be one. */
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

  /**
   * The latest error. The reason that the server gave for closing the connection comes first, because later writes to the closed
   * connection fail with another error.
   */
  get #cause(): Error | undefined {
    return this.#closeReason ?? this.#error;
  }

  /** How long commands wait for a connection, in milliseconds. There is no limit if the user limits the attempts instead. */
  get #patienceMs(): number {
    return this.server.maxRetriesPerRequest === undefined ? this.timeoutMs : Number.POSITIVE_INFINITY;
  }

  /** Rejects all commands that wait for this connection, because another server is the primary now. */
  failWaiting(): void {
    this.#queue.failAll(new Error(`${this.address} is no longer the primary`));
  }

  /**
   * Sends a last command, and resolves when it and all commands before it are answered. After "quit" the server closes the
   * connection. `before` is called just before the last command is sent.
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

  /** Ends the connection. Commands in flight have a second to be answered, then they are rejected. */
  close(): void {
    this.closed = true;
    this.#ready = false;
    this.#stallDetector.stop();
    clearTimeout(this.#handshake);
    this.#proxyDetection.stop();
    this.flush();
    disconnect(this.redis);
    if (this.inFlight === 0) this.reset();
    else setTimeout(() => this.reset(), lastAnswersMs).unref();
    this.#queue.failAll(new ClosedError());
  }

  /** Takes no more commands, and ends the connection when those in flight are answered, or after a second. */
  retire(): void {
    if (this.inFlight === 0) {
      this.close();
      return;
    }
    this.closed = true;
    this.#ready = false;
    this.flush();
    // Blocking commands need no more time: a server that was made a replica answers them with an error.
    const until = performance.now() + lastAnswersMs;
    const timer = setInterval(() => {
      if (this.inFlight > 0 && performance.now() < until) return;
      clearInterval(timer);
      this.close();
      // The commands in flight have had their second.
      this.reset();
    }, retireCheckMs).unref();
  }

  /** Ends the TCP connection when the commands that were sent are answered. ioredis then connects again. */
  reconnect(): void {
    this.flush();
    this.redis.disconnect(true);
  }

  /**
   * Called when another server has become the primary. A server that hands over is silent while its replica lags, and then
   * refuses the commands in flight. A frozen server may wake up and acknowledge writes that its successor does not have, so it
   * gets only a moment to answer.
   */
  yields(): void {
    this.waitsForConnection = false;
    this.#stallDetector.shorten();
  }

  /** Drops the TCP connection, so that all commands in flight are rejected at once. ioredis then connects again. */
  reset(): void {
    this.#isBeginning = false;
    this.redis.stream?.destroy();
  }

  /** Records how the server shows that it is a proxy that spreads commands. Undefined records that it is not such a proxy. */
  judge(proxySign: string | undefined): void {
    if (this.proxySign === proxySign) return;
    this.proxySign = proxySign;
    Object.assign(this.redis.options, proxySign === undefined ? this.#handshakeOptions : plainHandshake);
    this.#options.onJudged();
  }

  /** Gives up a connection whose server is silent. */
  #drop(): void {
    this.#silenceMs = this.absentMs;
    this.#error = silenceOf(this.#silenceMs);
    this.reset();
    if (this.waitsForConnection) this.#options.onDrop();
  }

  /** Sends everything now that waits for the end of this turn. */
  flush(): void {
    if (this.#turnBuffer === undefined) return;
    this.#turnEstimate.turnEnded();
    for (const call of this.#beforeFlush) call();
    this.#beforeFlush = [];
    this.#turnBuffer.flush();
    this.#turnBuffer = undefined;
    this.turn += 1;
  }

  #resendIfDue(command: Command): void {
    this.#reconnectOnError.follow(command, (onFailure) => {
      const resend: WhenReady = (failure) => (failure ? onFailure(failure) : this.send(command));
      this.whenReady(resend, { command: command.name });
    });
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
      this.#sentinelDetection?.end();
      this.#sentinelDetection = new SentinelDetection(redis.stream);
    });
    redis.on("ready", () => {
      const isSentinel = this.#sentinelDetection?.end();
      // ioredis 5 also emits "ready" for a connection that closed during the handshake, and would then never connect again.
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
      const reason = withoutSecrets(errorIn(this.#firstWords), this.server);
      this.#firstWords = "";
      const isCut = this.#isBeginning && !this.closed && (reason === undefined || isNotForwarded(reason));
      if (reason !== undefined) this.#closeReason = reason;
      else if (isCut && this.#isPlain) this.#closeReason = new Error(this.#handshakeFault);
      this.#isBeginning = false;
      this.#proxyDetection.cancelNext();
      this.refusal = this.#refused && { error: this.#refused, at: performance.now() };
      this.#refused = undefined;
      this.#options.onClose(this.#cause);
      // As in ioredis, a refusal fails only the commands that wait now. ioredis continues to connect, and a later command waits for
      // the next attempt.
      if (this.refusal !== undefined) this.#queue.failAll(this.refusal.error);
      else if (isCut && this.#mayBeProxy()) return;
      else this.#queue.countFailure(this.#error);
      // A connection that breaks is no outage until the next attempt fails.
      if (!wasReady) this.#failed();
    });
    redis.on("end", () => {
      this.#ended = true;
      // A connector that finds no server ends the client without a connection that could close.
      this.#failed();
      if (this.over !== undefined) this.#queue.failAll(this.over);
    });
  }

  /** Whether a server that closed the connection during the handshake may be a proxy. If that is not known, a test finds out. */
  #mayBeProxy(): boolean {
    return this.proxySign === undefined ? this.#proxyDetection.start() : !this.#isPlain;
  }

  #failed(): void {
    if (!this.closed && this.#cause !== undefined) this.#onAttempt?.(false);
  }

  /**
   * Gives up a server that sends nothing for as long as connecting may take. A server that answers, for example that it is LOADING,
   * gets more time, because on a new connection ioredis would ask it again in addition to the first question.
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
    this.#closeReason = undefined;
    this.#firstWords = "";
    this.#refused = undefined;
    this.refusal = undefined;
    this.#isBeginning = false;
    this.#ready = true;
    this.#onAttempt?.(true);
    if (this.proxySign !== undefined && !this.#options.mayBlock) this.#proxyDetection.startSoon();
    // Called before the waiting commands start, because the server may be another one or have another role.
    this.#options.onReady();
    this.#queue.startAll();
  }

  /**
   * Selects the database, and treats a refusal as that of the whole handshake. ioredis has sent SELECT as well, but it
   * continues if SELECT is refused, so commands would reach database 0. ioredis 5 does not even wait for the answer.
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

  /** Sends INFO first if ioredis has not, because a proxy may close the connection on INFO while commands are in flight. */
  #probe(): void {
    if (this.redis.options.enableReadyCheck || this.#options.mayBlock || this.proxySign !== undefined) {
      this.#begin();
      return;
    }
    this.#check(
      new Command("info", ["replication"]),
      // A Sentinel answers INFO replication with an empty text.
      (reply) => (String(reply) === "" ? this.#unlessSentinel(() => this.#begin()) : this.#begin()),
      (error) => {
        if (isNotForwarded(error)) this.judge(signOf(withoutSecrets(error, this.server)));
        this.#begin();
      },
    );
  }

  /**
   * Refuses a Sentinel, and otherwise calls `goOn`. If ioredis has not sent INFO, nothing else shows that the server is a Sentinel.
   */
  #unlessSentinel(goOn: () => void): void {
    const take = (reply: unknown): void => (isOfSentinel(reply) ? this.#refuseSentinel() : goOn());
    this.#check(new Command("info", ["server"]), take, goOn);
  }

  #refuseSentinel(): void {
    const remedy = "Pass it in `sentinels`, and its name for the primary as `name`";
    this.#refuse(
      new InvalidOptionError(this.address, undefined, remedy, "this is a Sentinel, which holds no data"),
    );
  }

  /** Sends the server a question that it has to answer before it is sent commands. */
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

  /** Gives up a connection whose handshake the server has refused. ioredis then reconnects. */
  #refuse(error: Error): void {
    this.#error = withoutSecrets(error, this.server);
    // This error says more than any earlier words of the server.
    this.#closeReason = error;
    this.#firstWords = "";
    this.#refused = error;
    this.#isBeginning = false;
    // For ioredis the handshake has succeeded, so it emits no error itself.
    this.redis.once("close", () => this.redis.emit("error", error));
    this.redis.disconnect(true);
  }

  #proxyDetected(result: DetectionResult | Error): void {
    if (this.closed) return;
    if (!(result instanceof Error)) this.judge(result.sign);
    else if (this.#ready) this.#proxyDetection.startSoon();
    // This error says more than a closed connection does, for example that the password is wrong.
    else if (result.name === "ReplyError") this.#closeReason = result;
    if (this.#ready) return;
    if (this.proxySign === undefined) {
      this.#queue.countFailure(this.#error);
      this.#failed();
    } else if (this.redis.status === "reconnecting") connectNow(this.redis).catch(() => {});
  }

  /** Why a proxy may close the connection even during a plain handshake. */
  get #handshakeFault(): string {
    const { db } = this.server;
    return db
      ? `it is a proxy that closes the connection on SELECT ${db}, so remove the option db`
      : "it is a proxy that closes the connection during the handshake";
  }
}

/** The error in a server's first words, if they are an error. */
function errorIn(words: string): Error | undefined {
  const [, text] = /^-(.*)\r\n/.exec(words) ?? [];
  return text === undefined ? undefined : new Error(text);
}

function silenceOf(ms: number): Error {
  return new Error(`it has not answered commands for ${Math.round(ms)} ms`);
}

/** Node's error for a host with several addresses that all fail has no message. */
function textOf(error: Error): string {
  return error.message || String(Reflect.get(error, "code") ?? error.name);
}
