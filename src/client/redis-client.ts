/** ioredis clients that own no connection for commands: each command is handed to the router. */
import { type Callback, type Command, Redis, type RedisOptions, type ScanStream } from "ioredis";
import { applyTimeouts } from "../commands/command-timeout.js";
import { alwaysSendText } from "../commands/script-text.js";
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
import { monitored } from "./monitor-mode.js";
import { type CommandOrigin, type CommandRouter, PipelineCollector } from "./pipeline-collector.js";
import { PrimaryClient, type PrimarySource } from "./primary-client.js";
import { type ChannelSlots, PubSub, type Subscribed } from "./pubsub.js";

/** The connections a client stands for: begun and ended with their Tidemark. */
export interface ConnectionLifecycle extends ChannelSlots {
  /** Begins all connections that were not begun, or were ended; resolves when the primary's is ready. */
  connect(): Promise<void>;
  /** The connection to the primary of now. */
  primary(): { readonly redis: Redis; readonly closed: boolean } | undefined;
  /** Where the primary of `shard` is, or that of the only one. */
  sourceOf(shard?: Shard): PrimarySource;
  /** A client of its own that starts from `options`, and before these from `override`. */
  duplicate(options: RedisOptions, override: Partial<RedisOptions>): Redis;
  reconnect(): void;
  /** Ends all connections when what was begun is over. */
  quit(): Promise<void>;
  /** Ends all connections at once. */
  close(): void;
}

type ScanOptions = Parameters<Redis["scanStream"]>[0];

/** What ioredis emits of a connection. */
export const lifecycleEvents = [
  ...(["connecting", "connect", "ready", "error", "close"] as const),
  ...(["reconnecting", "end"] as const),
];

export type LifecycleEvent = (typeof lifecycleEvents)[number];

/**
 * The client without a session of its own: it takes the one of the current request. It is a real ioredis client that
 * never connects. Sessions' clients have it as their prototype, so that making one costs nothing.
 */
export class RoutedRedis extends Redis implements SessionClient, CommandOrigin, Subscribed {
  boundSession: Session | null | undefined = undefined;
  boundLevel: Consistency | undefined = undefined;
  boundTerms: ResolvedReadPolicy | undefined = undefined;
  /** Whether its writes count for no session. */
  protected readonly isUntracked: boolean = false;
  iteration: ScanIteration | undefined = undefined;
  protected readonly base: RoutedRedis | undefined = this;
  protected readonly dispatch: PipelineCollector;
  readonly subscriber: PubSub;
  /** Whether plain clients of the primary are to have it. */
  protected readonly autoPipelining: boolean;
  protected readonly lifecycle: ConnectionLifecycle;
  protected readonly context: Context;
  /** What was emitted last of the connection to the primary. */
  protected readonly shown: { redis?: Redis; event: string } = { event: "connecting" };

  constructor(
    options: RedisOptions,
    routing: CommandRouter,
    context: Context,
    lifecycle: ConnectionLifecycle,
  ) {
    // Batching is the connections' work; ioredis's auto-pipelining would mix sessions in one batch.
    const own: RedisOptions = { ...options, lazyConnect: true, enableAutoPipelining: false };
    super(own as RedisOptions & { replyMapping?: "legacy" });
    this.options.lazyConnect = options.lazyConnect ?? false;
    this.autoPipelining = options.enableAutoPipelining ?? false;
    this.dispatch = new PipelineCollector(routing, () => context.get());
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
   * This client with reads at `level`; options without a level are added to what it has. Throws an `InvalidOptionError`
   * when it is none.
   */
  at(level: Consistency, options?: ReadOptions): SessionClient {
    const before = this.boundLevel ?? this.dispatch.sessionOf(this)?.level ?? "session";
    const client: RoutedRedis = Object.create(this);
    client.boundLevel = mergeConsistency(before, withOptions(level, options, "level"));
    client.boundTerms = this.dispatch.termsOf(client.boundLevel);
    return client;
  }

  /**
   * This client for writes that count for no session: no later read has to see them, and the response gets no token for them.
   * For counters and logs that this user does not read.
   */
  get untracked(): SessionClient {
    return Object.create(this, { isUntracked: { value: true } });
  }

  /** ioredis calls this for every command; `stream` is the batch it is part of. */
  override sendCommand(command: Command, stream?: CommandStream): unknown {
    // First, so that the record sees the time run out.
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
   * Connects, after `disconnect()` or with `lazyConnect`; resolves when the primary can be reached. As in ioredis it
   * rejects when there is a connection or one is being made: `tidemark.ready()` waits for that.
   */
  override connect(callback?: Callback<void>): Promise<void> {
    const connected = this.lifecycle.connect();
    if (callback) connected.then(() => callback(null), callback);
    return connected;
  }

  /**
   * Closes the Tidemark, as it would close the connection of a plain client, or with `reconnect` begins the primary's
   * connection again. A session has none of its own: there it does nothing.
   */
  override disconnect(reconnect = false): void {
    if (this.boundSession !== undefined) return;
    if (reconnect) {
      this.lifecycle.reconnect();
      this.subscriber.reconnect();
    } else this.lifecycle.close();
  }

  /**
   * An ioredis client of its own, connected to the primary wherever that goes, for blocking commands, transactions by
   * hand, pub/sub and MONITOR. It is yours to close. With `host`, `port`, `path` or `sentinels` it is one of that server.
   * In a cluster its commands go to the primaries of their keys.
   */
  override duplicate(override: Partial<RedisOptions> = {}): Redis {
    return this.lifecycle.duplicate(this.plainOptions(), override);
  }

  get resubscribes(): boolean {
    return this.options.autoResubscribe !== false;
  }

  /** A client of the primary of `shard` for the Subscriber, which makes subscriptions again by itself. */
  subscriberOf(shard: Shard | undefined): Redis {
    return new PrimaryClient(this.plainOptions(), { autoResubscribe: false }, this.lifecycle.sourceOf(shard));
  }

  /**
   * Resolves with a plain client of the primary that emits `monitor` for each command the primary is sent. Rejects when
   * its first connection fails or takes longer than `connectTimeout` (default 10000 ms).
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

  /** How many commands were given in this turn of the event loop, to leave together, with `enableAutoPipelining`. */
  override get autoPipelineQueueSize(): number {
    return this.dispatch.given;
  }

  /** Defines it for all clients of the Tidemark, as for all users of a connection. */
  override defineCommand(name: string, definition: Parameters<Redis["defineCommand"]>[1]): void {
    const root = this.root();
    super.defineCommand.call(root, name, definition);
    alwaysSendText(Reflect.get(root.scriptsSet, name), definition.lua);
  }

  /** Adds it to all clients of the Tidemark. */
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

  /** Told what becomes of a connection; while it is the one to the primary, it is this client's own. */
  heard(redis: Redis, event: LifecycleEvent, args: readonly unknown[]): void {
    if (this.lifecycle.primary()?.redis === redis) this.show(redis, event, ...args);
  }

  /** Told that there is another primary: to those who listen this client has reconnected. */
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
      // ioredis would print an error that nobody listens to; a warning says it once.
      this.context.run(undefined, () => this.silentEmit(event, args[0]));
  }

  /** Rejects all commands from now on but `quit()`, also those of sessions, and those given to it that ioredis sends again. */
  refuse(): void {
    this.sendCommand = this.refuseCommand;
  }

  /** Takes commands again. */
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

  /** Those of a client with a connection of its own. */
  protected plainOptions(): RedisOptions {
    return { ...this.options, enableAutoPipelining: this.autoPipelining };
  }

  /** Emits what no request has brought about, outside of the one that happened to have a connection made. */
  emitOutsideSessions(event: string, ...args: unknown[]): void {
    this.context.run(undefined, () => this.emit(event, ...args));
  }

  /** The client that all others of its Tidemark are made from; ioredis defines `scripts` while that is being made. */
  protected root(): RoutedRedis {
    return this.base ?? this;
  }

  /** The client of one scan stream, which belongs to the session it was made in, no matter where it is read. */
  protected iterating(): RoutedRedis {
    const client: RoutedRedis = Object.create(this);
    client.boundSession ??= this.dispatch.sessionOf(this) ?? null;
    client.iteration = new ScanIteration();
    return client;
  }
}

/** Listeners are those of the Tidemark's client, also when they are added to a session's. */
function shareWithSessions(client: RoutedRedis, name: string): void {
  let value: unknown = Reflect.get(client, name);
  const set = (given: unknown): void => {
    value = given;
  };
  Object.defineProperty(client, name, { get: () => value, set });
}
