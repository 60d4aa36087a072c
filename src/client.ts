/** ioredis clients that own no connection for commands: each command is handed to the router. */
import { type Callback, type Command, Redis, type RedisOptions } from "ioredis";
import { kindOf } from "./command.js";
import type { CommandStream } from "./connection.js";
import { checkLevel, type Level } from "./level.js";
import type { Session, SessionClient } from "./session.js";

/** Where a client's commands go. */
export interface Routing {
  /** Sends one command. */
  route(command: Command, session: Session | undefined, level: Level): void;
  /** Sends a pipeline or transaction as a whole. */
  routeBatch(commands: readonly Command[], session: Session | undefined, level: Level): void;
}

/** The batch that ioredis is handing over, command by command, in this very turn. */
interface OpenBatch {
  readonly stream: CommandStream;
  readonly commands: Command[];
  readonly session: Session | undefined;
  readonly level: Level;
  /** Whether the session has been told that a write is on its way. */
  announced: boolean;
}

/** The connections a client stands for: begun and ended with their Tidemark. */
export interface Lifecycle {
  connected(): Promise<void>;
  status(): Redis["status"];
  reconnect(): void;
  close(): Promise<void>;
}

const subscribing = new Set([
  "subscribe",
  "psubscribe",
  "ssubscribe",
  "unsubscribe",
  "punsubscribe",
  "sunsubscribe",
]);
const messages = [
  "message",
  "messageBuffer",
  "pmessage",
  "pmessageBuffer",
  "smessage",
  "smessageBuffer",
] as const;

/** What all clients of one Tidemark share. */
class Shared {
  readonly #routing: Routing;
  readonly #findSession: () => Session | undefined;
  #open: OpenBatch | undefined;
  #subscriber: Redis | undefined;
  #closed = false;

  constructor(routing: Routing, findSession: () => Session | undefined) {
    this.#routing = routing;
    this.#findSession = findSession;
  }

  /** Routes one command, or takes it into the batch it is part of; batches keep their place in the order of commands. */
  send(command: Command, stream: CommandStream | undefined, bound: Session | undefined, level?: Level): void {
    if (this.#open !== undefined && this.#open.stream !== stream) this.#close();
    if (this.#open !== undefined) {
      this.#join(this.#open, command);
      return;
    }
    const session = bound ?? this.#findSession();
    const at = level ?? session?.level ?? "session";
    if (stream === undefined) {
      this.#routing.route(command, session, at);
      return;
    }
    this.#open = { stream, commands: [], session, level: at, announced: false };
    this.#join(this.#open, command);
    queueMicrotask(() => this.#close());
  }

  /** The connection for pub/sub, which silences everything else on a connection; its messages are the client's. */
  subscriber(client: Redis): Redis | undefined {
    if (this.#subscriber !== undefined || this.#closed) return this.#subscriber;
    const subscriber = client.duplicate();
    subscriber.on("error", () => {});
    for (const event of messages) subscriber.on(event, (...args: unknown[]) => client.emit(event, ...args));
    this.#subscriber = subscriber;
    return subscriber;
  }

  close(): void {
    this.#closed = true;
    this.#subscriber?.disconnect();
  }

  /** A write counts as started when it is given, not when its batch leaves: a response could leave between the two. */
  #join(batch: OpenBatch, command: Command): void {
    batch.commands.push(command);
    if (batch.announced || kindOf(command, true) !== "write") return;
    batch.announced = true;
    batch.session?.writeStarted();
  }

  #close(): void {
    const batch = this.#open;
    this.#open = undefined;
    if (batch === undefined) return;
    this.#routing.routeBatch(batch.commands, batch.session, batch.level);
    if (batch.announced) batch.session?.writeEnded("not-sent");
  }
}

/**
 * The client without a session of its own: it takes the one of the current request. It is a real ioredis client that
 * never connects. Sessions' clients have it as their prototype, so that making one costs nothing.
 */
export class RoutedRedis extends Redis implements SessionClient {
  protected boundSession: Session | undefined = undefined;
  protected boundLevel: Level | undefined = undefined;
  protected readonly shared: Shared;
  protected readonly lazily: boolean;
  protected readonly lifecycle: Lifecycle;

  constructor(
    options: RedisOptions,
    routing: Routing,
    findSession: () => Session | undefined,
    lifecycle: Lifecycle,
  ) {
    // Batching is the connections' work; ioredis's auto-pipelining would mix sessions in one batch.
    const own: RedisOptions = { ...options, lazyConnect: true, enableAutoPipelining: false };
    super(own as RedisOptions & { replyMapping?: "legacy" });
    this.lazily = options.lazyConnect ?? false;
    this.shared = new Shared(routing, findSession);
    this.lifecycle = lifecycle;
    Object.defineProperty(this, "status", { get: () => lifecycle.status(), set: () => {} });
  }

  /** This client for the commands of `session`. */
  of(session: Session): SessionClient {
    const client: RoutedRedis = Object.create(this);
    client.boundSession = session;
    return client;
  }

  /** This client with reads at `level`; throws an `InvalidOptionError` when it is not one. */
  at(level: Level): SessionClient {
    const client: RoutedRedis = Object.create(this);
    client.boundLevel = checkLevel(level);
    return client;
  }

  /** ioredis calls this for every command; `stream` is the batch it is part of. */
  override sendCommand(command: Command, stream?: CommandStream): unknown {
    const { commandTimeout } = this.options;
    if (typeof commandTimeout === "number") limitTime(command, commandTimeout);
    if (this.boundSession === undefined && subscribing.has(command.name)) {
      const subscriber = this.shared.subscriber(this);
      if (subscriber !== undefined) return subscriber.sendCommand(command, stream);
    }
    this.shared.send(command, stream, this.boundSession, this.boundLevel);
    return command.promise;
  }

  /** Resolves when the primary can be reached: the connections were begun with the Tidemark, and end with it. */
  override connect(callback?: Callback<void>): Promise<void> {
    const connected = this.lifecycle.connected();
    if (callback) connected.then(() => callback(null), callback);
    return connected;
  }

  /**
   * Closes the Tidemark, as it would close the connection of a plain client, or with `reconnect` begins the primary's
   * connection anew. A session has none of its own: there it does nothing.
   */
  override disconnect(reconnect = false): void {
    if (this.boundSession !== undefined) return;
    if (reconnect) this.lifecycle.reconnect();
    else this.lifecycle.close();
  }

  /** A plain ioredis client of the primary, for blocking commands, transactions by hand, pub/sub and MONITOR. */
  override duplicate(override?: Partial<RedisOptions>): Redis {
    return super.duplicate({ lazyConnect: this.lazily, ...override });
  }

  /** Ends the connection that pub/sub has opened, if any. */
  closeSubscriptions(): void {
    this.shared.close();
  }
}

/** ioredis's `commandTimeout`, for all the ways a command may go and not for each connection anew. */
function limitTime(command: Command, ms: number): void {
  const { resolve, reject } = command;
  const timer = setTimeout(() => reject(new Error("Command timed out")), ms);
  command.resolve = (reply) => {
    clearTimeout(timer);
    return resolve(reply);
  };
  command.reject = (error) => {
    clearTimeout(timer);
    reject(error);
  };
}
