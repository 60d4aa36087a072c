/** Provides ioredis clients that own no connection for commands, but hand each command to the router. */
import { type Callback, type Command, Redis, type RedisOptions, type ScanStream } from "ioredis";
import { applyTimeouts } from "../commands/command-timeout.js";
import { keepContext, outsideRequests } from "../commands/command-tracing.js";
import { alwaysSendText } from "../commands/script-text.js";
import { areCommandsTraced } from "../commands/tracers.js";
import { leaveUntracked } from "../commands/untracked.js";
import type { CommandStream } from "../connection/auto-pipeline.js";
import {
  type Consistency,
  mergeConsistency,
  type ReadOptions,
  type ResolvedReadPolicy,
  withOptions,
} from "../consistency/read-policy.js";
import { ClosedError } from "../errors/errors.js";
import { ScanIteration } from "../reads/scan.js";
import type { Context } from "../session/context.js";
import type { Session, SessionClient } from "../session/session.js";
import type { Shard } from "../shard/shard.js";
import { CommandDispatch, type CommandOrigin, type CommandRouter } from "./command-dispatch.js";
import { monitored } from "./monitor-mode.js";
import { PrimaryClient, type PrimarySource } from "./primary-client.js";
import { type ChannelSlots, PubSub, type Subscribed } from "./pubsub.js";

/** The connections that a client stands for. They start and end with their Tidemark. */
export interface ConnectionLifecycle extends ChannelSlots {
  /** Starts all connections that were not started yet or were ended. Resolves when the primary's connection is ready. */
  connect(): Promise<void>;
  /** The connection to the current primary. */
  primary(): { readonly redis: Redis; readonly closed: boolean } | undefined;
  /** Finds the primary of `shard`. Without `shard`, finds the primary of the only shard. */
  sourceOf(shard?: Shard): PrimarySource;
  /** A separate client with `options`. Values in `override` take precedence. */
  duplicate(options: RedisOptions, override: Partial<RedisOptions>): Redis;
  reconnect(): void;
  /** Ends all connections once all work that was begun is over. */
  quit(): Promise<void>;
  /** Ends all connections at once. */
  close(): void;
}

type ScanOptions = Parameters<Redis["scanStream"]>[0];

/** The events that ioredis emits for a connection. */
export const lifecycleEvents = [
  ...(["connecting", "connect", "ready", "error", "close"] as const),
  ...(["reconnecting", "end"] as const),
];

export type LifecycleEvent = (typeof lifecycleEvents)[number];

/**
 * The client that uses the session of the current request. This is a real ioredis client that never connects. Clients of sessions
 * have this client as their prototype, so that making one costs nothing.
 */
export class RoutedRedis extends Redis implements SessionClient, CommandOrigin, Subscribed {
  boundSession: Session | null | undefined = undefined;
  boundLevel: Consistency | undefined = undefined;
  boundPolicy: ResolvedReadPolicy | undefined = undefined;
  /** Whether later reads do not have to see the writes of this client. */
  protected readonly isUntracked: boolean = false;
  iteration: ScanIteration | undefined = undefined;
  protected readonly base: RoutedRedis | undefined = this;
  protected readonly dispatch: CommandDispatch;
  readonly subscriber: PubSub;
  /** Whether plain clients of the primary use auto-pipelining. */
  protected readonly autoPipelining: boolean;
  protected readonly lifecycle: ConnectionLifecycle;
  protected readonly context: Context;
  /** The latest event that was emitted for the connection to the primary. */
  protected readonly shown: { redis?: Redis; event: string } = { event: "connecting" };

  constructor(
    options: RedisOptions,
    routing: CommandRouter,
    context: Context,
    lifecycle: ConnectionLifecycle,
  ) {
    // The connections batch commands themselves. ioredis's auto-pipelining would mix sessions in one batch.
    const own: RedisOptions = { ...options, lazyConnect: true, enableAutoPipelining: false };
    super(own as RedisOptions & { replyMapping?: "legacy" });
    this.options.lazyConnect = options.lazyConnect ?? false;
    this.autoPipelining = options.enableAutoPipelining ?? false;
    this.dispatch = new CommandDispatch(routing, () => context.get());
    this.lifecycle = lifecycle;
    this.subscriber = new PubSub(this, lifecycle);
    this.context = context;
    for (const name of ["status", "stream", "condition"] as const) {
      const unnamed = name === "status" ? "connecting" : undefined;
      const get = (): unknown => lifecycle.primary()?.redis[name] ?? unnamed;
      Object.defineProperty(this, name, { get, set: () => {}, configurable: true });
    }
    for (const name of ["_events", "_eventsCount", "_maxListeners"]) shareWithSessions(this, name);
  }

  /** This client for the commands of `session`. */
  forSession(session: Session): SessionClient {
    const client: RoutedRedis = Object.create(this);
    client.boundSession = session;
    return client;
  }

  /**
   * This client with reads at `level`. If you pass options without a level, they apply to the current level. Throws an
   * `InvalidOptionError` if `level` is not a level.
   */
  at(level: Consistency, options?: ReadOptions): SessionClient {
    const before = this.boundLevel ?? this.dispatch.sessionOf(this)?.level ?? "session";
    const client: RoutedRedis = Object.create(this);
    client.boundLevel = mergeConsistency(before, withOptions(level, options, "level"));
    client.boundPolicy = this.dispatch.resolved(client.boundLevel);
    return client;
  }

  /**
   * This client for untracked writes. Later reads do not have to see these writes, and the response carries no token for them. Use
   * it for counters and logs that this user does not read.
   */
  get untracked(): SessionClient {
    return Object.create(this, { isUntracked: { value: true } });
  }

  /** ioredis names this server when it traces a transaction. */
  override _getServerAddress(): ReturnType<Redis["_getServerAddress"]> {
    return this.lifecycle.primary()?.redis._getServerAddress() ?? super._getServerAddress();
  }

  /** ioredis calls this for every command. `stream` is the batch that the command is part of. */
  override sendCommand(command: Command, stream?: CommandStream): unknown {
    if (areCommandsTraced()) keepContext(command);
    // The record begins first, so that it includes a timeout.
    this.dispatch.record(command, this);
    applyTimeouts(command, this.options);
    if (this.isUntracked) leaveUntracked(command);
    const isShared = this.boundSession === undefined;
    if (isShared && this.subscriber.take(command)) return command.promise;
    if (this.autoPipelining && !this.options.autoPipeliningIgnoredCommands?.includes(command.name))
      this.dispatch.count();
    if (isShared && stream === undefined && command.name === "quit") this.quitWith(command);
    else this.dispatch.send(command, stream, this);
    return command.promise;
  }

  /**
   * Connects after `disconnect()` or with `lazyConnect`. Resolves when the primary can be reached. As in ioredis, the promise
   * rejects if the client is connected or connecting. To wait for a connection, use `tidemark.ready()`.
   */
  override connect(callback?: Callback<void>): Promise<void> {
    const connected = this.lifecycle.connect();
    if (callback) connected.then(() => callback(null), callback);
    return connected;
  }

  /**
   * Closes the Tidemark, as a plain client would close its connection. With `reconnect`, closes the connection to the primary and
   * opens it again. Does nothing on a session's client, because a session has no connection of its own.
   */
  override disconnect(reconnect = false): void {
    if (this.boundSession !== undefined) return;
    if (reconnect) {
      this.lifecycle.reconnect();
      this.subscriber.reconnect();
    } else this.lifecycle.close();
  }

  /**
   * A separate ioredis client that stays connected to the primary, even after a failover. Use it for blocking commands, manual
   * transactions, pub/sub and MONITOR. You must close it. If you pass `host`, `port`, `path` or `sentinels`, the client connects
   * to that server instead. In a cluster, commands go to the primaries of their keys.
   */
  override duplicate(override: Partial<RedisOptions> = {}): Redis {
    return this.lifecycle.duplicate(this.plainOptions(), override);
  }

  get resubscribes(): boolean {
    return this.options.autoResubscribe !== false;
  }

  /** A client of the primary of `shard`. PubSub renews the subscriptions by itself. */
  subscriberOf(shard: Shard | undefined): Redis {
    const source = this.lifecycle.sourceOf(shard);
    // All requests share the connection, so it must not belong to the one that subscribes first.
    return outsideRequests(() => new PrimaryClient(this.plainOptions(), { autoResubscribe: false }, source));
  }

  /**
   * Resolves with a plain client of the primary that emits `monitor` for each command sent to the primary. Rejects if the first
   * connection fails or takes longer than `connectTimeout` (default 10000 ms).
   */
  override monitor(callback?: Callback<Redis>): Promise<Redis> {
    const own = { monitor: true, lazyConnect: false };
    // In a cluster a duplicate has no connection of its own that could monitor one server.
    const isSpread = this.lifecycle.redirect !== undefined;
    const redis = isSpread
      ? new PrimaryClient(this.plainOptions(), own, this.lifecycle.sourceOf())
      : this.duplicate(own);
    const monitoring = monitored(redis);
    if (callback) monitoring.then((monitor) => callback(null, monitor), callback);
    return monitoring;
  }

  /** With `enableAutoPipelining`: how many commands of this turn of the event loop are waiting to be sent together. */
  override get autoPipelineQueueSize(): number {
    return this.dispatch.given;
  }

  /** Defines the command for all clients of the Tidemark, as ioredis does for all users of one connection. */
  override defineCommand(name: string, definition: Parameters<Redis["defineCommand"]>[1]): void {
    const root = this.root();
    super.defineCommand.call(root, name, definition);
    alwaysSendText(Reflect.get(root.scriptsSet, name), definition.lua);
  }

  /** Adds the command to all clients of the Tidemark. */
  override addBuiltinCommand(name: string): void {
    super.addBuiltinCommand.call(this.root(), name);
  }

  override scanStream(options?: ScanOptions): ScanStream {
    return super.scanStream.call(this.iterating(), options);
  }

  override scanBufferStream(options?: ScanOptions): ScanStream {
    return super.scanBufferStream.call(this.iterating(), options);
  }

  override sscanStream(key: string, options?: ScanOptions): ScanStream {
    return super.sscanStream.call(this.iterating(), key, options);
  }

  override sscanBufferStream(key: string, options?: ScanOptions): ScanStream {
    return super.sscanBufferStream.call(this.iterating(), key, options);
  }

  override hscanStream(key: string, options?: ScanOptions): ScanStream {
    return super.hscanStream.call(this.iterating(), key, options);
  }

  override hscanBufferStream(key: string, options?: ScanOptions): ScanStream {
    return super.hscanBufferStream.call(this.iterating(), key, options);
  }

  override zscanStream(key: string, options?: ScanOptions): ScanStream {
    return super.zscanStream.call(this.iterating(), key, options);
  }

  override zscanBufferStream(key: string, options?: ScanOptions): ScanStream {
    return super.zscanBufferStream.call(this.iterating(), key, options);
  }

  /** Receives the events of a connection. Emits them as this client's own events if the connection is the one to the primary. */
  heard(redis: Redis, event: LifecycleEvent, args: readonly unknown[]): void {
    if (this.lifecycle.primary()?.redis === redis) this.show(redis, event, ...args);
  }

  /** Called when there is another primary. This client's listeners see a reconnect. */
  moved(): void {
    const redis = this.lifecycle.primary()?.redis;
    if (redis === undefined || redis === this.shown.redis) return;
    const events: LifecycleEvent[] = [];
    if (this.shown.event === "connect" || this.shown.event === "ready") events.push("close", "reconnecting");
    if (redis.status === "ready") events.push("connecting", "connect", "ready");
    this.shown.redis = redis;
    process.nextTick(() => {
      for (const event of events) this.show(redis, event, ...(event === "reconnecting" ? [0] : []));
    });
  }

  protected show(redis: Redis, event: LifecycleEvent, ...args: unknown[]): void {
    if (event !== "error") {
      this.shown.redis = redis;
      this.shown.event = event;
      this.emitOutsideSessions(event, ...args);
    } else if (this.listenerCount("error") > 0 && !this.lifecycle.primary()?.closed)
      // Without a listener ioredis would print each error. Tidemark gives one warning instead.
      this.context.run(undefined, () => this.silentEmit(event, args[0]));
  }

  /** From now on, rejects all commands except `quit()`. This includes commands of sessions and commands that ioredis resends. */
  refuse(): void {
    this.sendCommand = this.refuseCommand;
  }

  /** Accepts commands again. */
  accept(): void {
    Reflect.deleteProperty(this, "sendCommand");
  }

  protected refuseCommand(command: Command, stream?: CommandStream): unknown {
    const isQuit = this.boundSession === undefined && stream === undefined && command.name === "quit";
    this.dispatch.record(command, this);
    if (isQuit) this.quitWith(command);
    else command.reject(new ClosedError());
    return command.promise;
  }

  protected quitWith(command: Command): void {
    this.lifecycle.quit().then(() => command.resolve(Buffer.from("OK")), command.reject);
  }

  /** The options of a client with a connection of its own. */
  protected plainOptions(): RedisOptions {
    return { ...this.options, enableAutoPipelining: this.autoPipelining };
  }

  /**
   * Emits an event outside of any session. Otherwise the event would belong to the request that happened to open the connection.
   */
  emitOutsideSessions(event: string, ...args: unknown[]): void {
    this.context.run(undefined, () => this.emit(event, ...args));
  }

  /**
   * The client that all other clients of its Tidemark derive from. ioredis defines the `scripts` of that client during
   * construction, when `base` is not set yet.
   */
  protected root(): RoutedRedis {
    return this.base ?? this;
  }

  /** The client of one scan stream. The stream belongs to the session in which it was created, wherever it is read. */
  protected iterating(): RoutedRedis {
    const client: RoutedRedis = Object.create(this);
    client.boundSession ??= this.dispatch.sessionOf(this) ?? null;
    client.iteration = new ScanIteration();
    return client;
  }
}

/** Makes all clients share the listeners of the Tidemark's client, even listeners added to a session's client. */
function shareWithSessions(client: RoutedRedis, name: string): void {
  let value: unknown = Reflect.get(client, name);
  const set = (given: unknown): void => {
    value = given;
  };
  Object.defineProperty(client, name, { get: () => value, set });
}
