/** An ioredis client that stays connected to the primary, whichever server that is. */
import { connect as connectTcp, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { AbstractConnector, type Callback, Command, Redis, type RedisOptions } from "ioredis";
import { addressOf } from "../address.js";
import { CommandCallbacks } from "../commands/callbacks.js";
import { keepContext, sendInKeptContext } from "../commands/command-tracing.js";
import { isDemotion } from "../commands/server-reply.js";
import { areCommandsTraced } from "../commands/tracers.js";
import type { CommandStream } from "../connection/auto-pipeline.js";
import { cancelReconnect } from "../connection/connect-now.js";
import { forgetClosed } from "../connection/disconnect.js";
import { plainHandshake, whyProxiesClose } from "../connection/proxy-detection.js";
import { guardReplies } from "../connection/reply-guard.js";
import { ClosedError, ConnectionLostError } from "../errors/errors.js";
import { withoutSecrets } from "../errors/secrets.js";
import type { Node } from "../node/node.js";
import { isReplicaIn } from "../replication/replication-info.js";
import { maxRepeats } from "../shard/primary-availability.js";
import type { PrimaryDependent, PrimaryDependents } from "../shard/primary-dependents.js";
import type { Shard } from "../shard/shard.js";

/** Finds the server that a client connects to. */
export interface PrimarySource {
  readonly dependents: PrimaryDependents;
  /** The shard whose primary the client connects to. Undefined while the servers are not known. */
  shard(): Shard | undefined;
  /** Resolves when the servers are known. Rejects after `primaryTimeoutMs`. */
  known(): Promise<void>;
}

/** Options that differ between servers. */
const ofServer = ["host", "port", "path", "family", "username", "password", "tls"] as const;
/** Options that ask for a certain server instead of the primary. */
const otherServer = ["host", "port", "path", "sentinels"] as const;

/** The commands that ioredis sends by itself when a connection is ready again. */
const renewals: ReadonlySet<string> = new Set(["subscribe", "psubscribe", "ssubscribe", "select"]);

/** How long a client that leaves a server waits for a blocking command. */
const lastAnswersMs = 1_000;

/** The commands to send to the next primary: those that the present server has refused, and those that were given since. */
interface Departure {
  readonly refused: { readonly command: Command; readonly left: number }[];
  readonly given: Command[];
  /** When the departure began, on the monotonic clock. */
  readonly since: number;
  readonly deadline: NodeJS.Timeout;
}

/** Connects to the server that is the primary at the time of the connection. */
class PrimaryConnector extends AbstractConnector {
  readonly #options: RedisOptions;
  readonly #source: PrimarySource;
  readonly #aim: () => void;
  readonly #Own: RedisOptions["Connector"];
  #cancel: (() => void) | undefined;

  /** `aim` writes the current primary into `options`. If the user has a connector, `Own`, that connector makes the connection. */
  constructor(options: RedisOptions, source: PrimarySource, aim: () => void, Own: RedisOptions["Connector"]) {
    super(options.disconnectTimeout ?? 0);
    this.#options = options;
    this.#source = source;
    this.#aim = aim;
    this.#Own = Own;
  }

  /** ioredis calls this with the server's INFO, before the connection counts as ready. */
  override check(info: unknown): boolean {
    if (!isReplicaIn(info)) return true;
    doubt(this.#source, this.#options);
    return false;
  }

  override async connect(emit: (type: string, error: Error) => void): Promise<Socket> {
    this.connecting = true;
    try {
      if (this.#source.shard() === undefined) await this.#known();
    } catch (error) {
      // If connect() rejected, ioredis would give up for good. After a failed connection ioredis retries, so connect() returns one.
      if (this.connecting) return this.#failed(error);
    }
    if (!this.connecting) throw new ClosedError();
    this.#aim();
    this.stream = this.#Own ? await new this.#Own(this.#options).connect(emit) : this.#open();
    this.stream.once("error", (error) => {
      this.firstError = error;
    });
    return this.stream;
  }

  #open(): Socket {
    const { host, port, path, family, tls } = this.#options;
    const at = path ? { path } : { host, port: port ?? defaultPort, family };
    return tls ? connectTls({ ...at, ...tls }) : connectTcp(at);
  }

  override disconnect(): void {
    super.disconnect();
    this.#cancel?.();
  }

  #known(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#cancel = () => reject(new ClosedError());
      this.#source.known().then(resolve, reject);
    });
  }

  #failed(error: unknown): Socket {
    if (error instanceof Error) this.firstError = error;
    return new Socket().destroy();
  }
}

const defaultPort = 6379;

/**
 * Works and reconnects like any ioredis client. In addition, each new connection goes to the current primary, and the client
 * leaves a server that was demoted.
 */
export class PrimaryClient extends Redis implements PrimaryDependent {
  /** Distinguishes this client from an app's own client, which the app may pass as a server. */
  readonly followsPrimary = true;
  readonly #source: PrimarySource;
  readonly #override: Partial<RedisOptions>;
  readonly #aim: () => void;
  /** Whether the connection began with the handshake for proxies that spread commands. */
  readonly #isPlain: () => boolean;
  /** Whether ioredis has sent all commands of the handshake that it sends as soon as it has connected. */
  #isGreeted = false;
  /** Whether a MULTI was sent by hand. A refused command must not be sent again outside of that transaction. */
  #queueing = false;
  /** The unanswered SELECT of a handshake. ioredis 5 sends commands after SELECT without knowing the answer. */
  #selecting: Promise<unknown> | undefined;
  /** The error with which the server refused the SELECT of the latest handshake. */
  #refused: Error | undefined;
  /**
   * Whether listeners know that the connection is ready. Before that, commands on a ready connection come from ioredis itself.
   */
  #isAnnounced = false;
  /** Commands that were given to the client before it was ready. */
  readonly #early = new WeakSet<Command>();
  /** Set while the client waits for the last answers of a server that it leaves. */
  #departure: Departure | undefined;

  /** `override` takes precedence over `options` and over the options of the primary. */
  constructor(options: RedisOptions, override: Partial<RedisOptions>, source: PrimarySource) {
    let handshake: Partial<RedisOptions> = {};
    let isPlain = false;
    const aim = (aimed: RedisOptions): void => {
      const connection = source.shard()?.primary.connection;
      if (connection === undefined) return;
      const { server, proxySign } = connection;
      for (const name of ofServer) if (!(name in override)) Object.assign(aimed, { [name]: server[name] });
      isPlain = proxySign !== undefined;
      Object.assign(aimed, isPlain ? plainHandshake : handshake);
    };
    const { Connector: Own } = { ...options, ...override };
    const own: RedisOptions = {
      ...options,
      ...override,
      // Connecting needs the private fields, which do not exist before super() returns.
      lazyConnect: true,
      sentinels: undefined,
      Connector: class extends PrimaryConnector {
        constructor(given: unknown) {
          const aimed = given instanceof Object ? given : {};
          super(aimed, source, () => aim(aimed), Own);
        }
      },
    };
    super(typed(own));
    guardReplies(this);
    const { protocol, enableReadyCheck, disableClientInfo, connectionName } = this.options;
    handshake = { protocol, enableReadyCheck, disableClientInfo, connectionName };
    this.#source = source;
    this.#override = { ...override, Connector: Own };
    this.#aim = () => aim(this.options);
    this.#isPlain = () => isPlain;
    this.#aim();
    this.options.lazyConnect = override.lazyConnect ?? options.lazyConnect ?? false;
    forgetClosed(this);
    this.on("ready", () => {
      this.#isAnnounced = true;
    });
    this.on("close", () => {
      this.#isAnnounced = false;
      this.#queueing = false;
      this.#isGreeted = false;
      if (isPlain) this.#giveUp();
      this.#depart();
    });
    this.on("connect", () => {
      this.#isGreeted = true;
    });
    this.on("end", () => source.dependents.remove(this));
    if (!this.options.lazyConnect) this.connect().catch(() => {});
  }

  override connect(callback?: Callback<void>): Promise<void> {
    // ioredis does not check for this status, and would open a second connection.
    if (String(this.status) === "monitoring") {
      const error = new Error("Redis is already connecting/connected");
      callback?.(error);
      return Promise.reject(error);
    }
    this.#source.dependents.add(this);
    // ioredis reads the password from the options before it asks the connector for a connection, so the options have to be those of
    // the primary by now.
    this.#aim();
    cancelReconnect(this);
    return super.connect(callback);
  }

  /** Leaves the server of `node` if the client is connected to that server. */
  leave({ connection }: Node): void {
    if (addressOf(this.options) !== connection.address) return;
    if (this.status === "reconnecting") this.connect().catch(() => {});
    else if (this.status === "ready" && connection.answers) this.#prepareDeparture();
    else this.#reconnect();
  }

  override disconnect(reconnect = false): void {
    // Between two attempts ioredis has no connection to close. Without this, neither ioredis nor its waiting commands would end.
    if (!reconnect && this.status === "reconnecting") this.status = "wait";
    super.disconnect(reconnect);
  }

  override sendCommand(command: Command, stream?: CommandStream): unknown {
    if (areCommandsTraced()) keepContext(command);
    this.#mindRenewal(command);
    if (this.#departure !== undefined && this.status === "ready") {
      this.#departure.given.push(command);
      return command.promise;
    }
    if (this.#selecting !== undefined && this.status === "ready") {
      this.#selecting.then(() => this.sendCommand(command, stream));
      return command.promise;
    }
    // ioredis would keep the commands of this handshake for the next connection, which may begin with a different handshake.
    if (this.#isOfHandshake && !this.stream.writable) return command.promise;
    if (this.status === "ready" && this.#isPlain() && isClientInfo(command)) {
      command.reject(new Error(whyProxiesClose));
      return command.promise;
    }
    if (this.status === "connect" && command.name === "select") this.#awaitSelect(command);
    this.#attend(command, this.#isBound(command), maxRepeats);
    return this.#transmit(command, stream);
  }

  override silentEmit(event: string, error?: unknown): boolean {
    const shown = withoutSecrets(error, this.options);
    if (event !== "error" || shown === this.#refused || !isSelectRefusal(shown))
      return super.silentEmit(event, shown);
    // ioredis would ignore the refusal, and commands would reach database 0.
    this.#refused = shown;
    this.recoverFromFatalError(shown, shown, {});
    this.stream?.destroy();
    return true;
  }

  override duplicate(override: Partial<RedisOptions> = {}): Redis {
    return duplicatePrimaryClient(this.options, { ...this.#override, ...override }, this.#source);
  }

  /** Whether ioredis is sending its handshake. On a closed connection, ioredis does not wait for the answer. */
  get #isOfHandshake(): boolean {
    return this.status === "connect" && !this.#isGreeted;
  }

  /** ioredis renews subscriptions by itself and leaves their promises unhandled. A rejection would end the process. */
  #mindRenewal(command: Command): void {
    if (this.status !== "ready") this.#early.add(command);
    else if (!this.#isAnnounced && !this.#early.has(command) && renewals.has(command.name))
      command.promise.catch(() => {});
  }

  #awaitSelect({ promise }: Command): void {
    const over = (): void => {
      if (this.#selecting === selecting) this.#selecting = undefined;
    };
    const selecting = promise.then(over, over);
    this.#selecting = selecting;
  }

  /** Whether `command` belongs to a transaction. Such a command must not be sent again outside of it. */
  #isBound({ name, inTransaction }: Command): boolean {
    const lower = name.toLowerCase();
    const isEnd = lower === "exec" || lower === "discard";
    const isBound = inTransaction || this.#queueing || isEnd;
    if (isEnd) this.#queueing = false;
    else if (lower === "multi" && !inTransaction) this.#queueing = true;
    return isBound;
  }

  /**
   * Rejects the commands that a proxy left unanswered. If the proxy does not forward a command, a resend would close each new
   * connection.
   */
  #giveUp(): void {
    const unanswered = this.commandQueue.toArray();
    this.commandQueue.clear();
    const lost = { address: addressOf(this.options), error: new Error(whyProxiesClose) };
    for (const { command } of unanswered)
      command.reject(ConnectionLostError.of(command.name, lost, new Error("Connection is closed.")));
  }

  /** Watches `command`. If a demoted server refuses it, the client keeps it for the next primary. */
  #attend(command: Command, isBound: boolean, left: number): void {
    const callbacks = new CommandCallbacks(command);
    command.resolve = (reply) => {
      const resolved = callbacks.resolve(reply);
      this.#departIfDone();
      return resolved;
    };
    command.reject = (error) => {
      if (isDemotion(error)) {
        doubt(this.#source, this.options);
        const { refused } = this.#prepareDeparture();
        if (isBound || left === 0 || this.options.enableOfflineQueue === false) callbacks.reject(error);
        else {
          callbacks.restore();
          refused.push({ command, left: left - 1 });
        }
      } else callbacks.reject(error);
      this.#departIfDone();
    };
  }

  /** Leaves the server once all commands in flight are answered, so that no command runs twice or in another order. */
  #prepareDeparture(): Departure {
    this.#departure ??= {
      refused: [],
      given: [],
      since: performance.now(),
      deadline: setInterval(() => this.#departInTime(), lastAnswersMs),
    };
    // The caller may still add a command that the server has refused.
    queueMicrotask(() => this.#departIfDone());
    return this.#departure;
  }

  /**
   * Leaves the server if a blocking command holds up the answers, or if the server stays silent for too long. ioredis resends
   * unanswered commands.
   */
  #departInTime(): void {
    const front = this.commandQueue.peekFront()?.command.name ?? "";
    const waitedMs = performance.now() - (this.#departure?.since ?? 0);
    const timeoutMs = this.#source.shard()?.options.primaryTimeoutMs ?? lastAnswersMs;
    if (Command.checkFlag("BLOCKING_COMMANDS", front) || waitedMs >= timeoutMs) this.#depart();
  }

  #departIfDone(): void {
    // A subscribed connection has nothing in flight.
    if (this.commandQueue.length === 0) this.#depart();
  }

  #depart(): void {
    const departure = this.#departure;
    if (departure === undefined) return;
    this.#departure = undefined;
    clearInterval(departure.deadline);
    this.#reconnect();
    for (const { command, left } of departure.refused) {
      this.#attend(command, false, left);
      this.#transmit(command);
    }
    for (const command of departure.given) this.sendCommand(command);
  }

  #transmit(command: Command, stream?: CommandStream): unknown {
    if (!areCommandsTraced()) return super.sendCommand(command, stream);
    return sendInKeptContext(command, () => super.sendCommand(command, stream));
  }

  /** Drops the connection at once, because the server may be frozen. ioredis then reconnects. */
  #reconnect(): void {
    if (this.status !== "wait" && this.status !== "end") this.stream?.destroy();
  }
}

/** A client of the primary, or of the server that `override` names. */
export function duplicatePrimaryClient(
  options: RedisOptions,
  override: Partial<RedisOptions>,
  source: PrimarySource,
): Redis {
  if (!namesServer(override)) return new PrimaryClient(options, override, source);
  const own: RedisOptions = { ...options, ...override };
  const redis = new Redis(typed(own));
  guardReplies(redis);
  return redis;
}

/** Whether the options name a certain server. */
export function namesServer(options: Partial<RedisOptions>): boolean {
  return otherServer.some((name) => options[name] !== undefined);
}

/** In ioredis 6 the type of a client depends on its replyMapping. The user's choice makes no difference here. */
function typed(own: RedisOptions): RedisOptions & { replyMapping?: "legacy" } {
  return own as RedisOptions & { replyMapping?: "legacy" };
}

/**
 * Whether the command is CLIENT SETINFO. ioredis 5 sends it later than the rest of the handshake, and the connection may be gone by
 * then.
 */
function isClientInfo({ name, args }: Command): boolean {
  return name === "client" && /^setinfo$/i.test(String(args[0]));
}

/** Whether a server has refused the SELECT of a handshake. */
function isSelectRefusal(error: unknown): error is Error {
  if (!(error instanceof Error) || error.name !== "ReplyError") return false;
  const command: unknown = Reflect.get(error, "command");
  return typeof command === "object" && command !== null && "name" in command && command.name === "select";
}

/** Reports that the server at this address says that it is a replica. */
function doubt(source: PrimarySource, server: RedisOptions): void {
  const shard = source.shard();
  if (shard?.primaryAddress === addressOf(server)) shard.availability.refusedWrite(shard.primary);
}
