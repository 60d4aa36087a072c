/** Keeps dedicated connections for pub/sub, because a subscription would block all other commands on a shared connection. */
import { Command, type Redis } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { ClosedError, NoPrimaryError } from "../errors/errors.js";
import type { Shard } from "../shard/shard.js";

const subscribing = new Set([
  "subscribe",
  "psubscribe",
  "ssubscribe",
  "unsubscribe",
  "punsubscribe",
  "sunsubscribe",
]);

/** The client that receives the pub/sub commands and emits the messages. */
export interface Subscribed {
  /** Whether subscriptions are renewed after a reconnect, as in the user's `autoResubscribe`. */
  readonly resubscribes: boolean;
  /** A client of the primary of `shard`. Undefined stands for any shard. */
  subscriberOf(shard: Shard | undefined): Redis;
  emitOutsideSessions(event: string, ...args: unknown[]): void;
}

/** Finds the server for a subscription. */
export interface ChannelSlots {
  /** Calls `start` when there is a primary for `command`. Rejects the command if there is no primary in time. */
  whenPrimary(command: Command, start: () => void): void;
  /** How long a subscription may take, in milliseconds. Infinity for no limit. */
  readonly timeoutMs: number;
  shardOf(command: Command): Shard | undefined;
  /** Follows a redirection. Returns whether `again` will be called when the command can be resent. */
  readonly redirect: ((error: Error, again: () => void) => boolean) | undefined;
}

const messages = [
  "message",
  "messageBuffer",
  "pmessage",
  "pmessageBuffer",
  "smessage",
  "smessageBuffer",
] as const;

/** The most redirections of a command that are followed, as in ioredis. */
const maxRedirections = 16;

/** The channels and patterns of a connection, by the command that subscribes to them. */
type Subscriptions = Readonly<Record<(typeof kinds)[number], Map<string, SubscribedTo>>>;

type SubscribedTo = Command["args"][number];

const kinds = ["subscribe", "psubscribe", "ssubscribe"] as const;

interface Connected {
  readonly redis: Redis;
  readonly subscriptions: Subscriptions;
  /** The subscriptions that are being renewed, by command and channel. */
  readonly renewed: Set<string>;
}

/**
 * One connection serves all channels and patterns, because every node of a cluster forwards their messages. In a cluster each
 * shard that has sharded channels gets another connection.
 */
export class PubSub {
  readonly #client: Subscribed;
  readonly #slots: ChannelSlots;
  readonly #connections = new Map<Shard | undefined, Connected>();
  /** The functions that reject unanswered commands, each with the connection that the command was sent on. */
  readonly #pending = new Map<(error: Error) => void, Redis>();
  #closed = false;

  constructor(client: Subscribed, slots: ChannelSlots) {
    this.#client = client;
    this.#slots = slots;
  }

  /** Handles `command` if it is a pub/sub command, and returns whether it is. The first pub/sub command opens a connection. */
  take(command: Command): boolean {
    const name = command.name.toLowerCase();
    if (!subscribing.has(name)) return false;
    const kind = kinds.find((one) => one === name.replace("un", "")) ?? "subscribe";
    const isOfShard = this.#slots.redirect !== undefined && kind === "ssubscribe";
    if (this.#closed) command.reject(new ClosedError());
    else if (name === kind) this.#subscribe(command, kind, maxRedirections);
    else if (isOfShard && command.args.length === 0) this.#unsubscribeAll(command);
    else this.#unsubscribe(command, kind);
    return true;
  }

  /** Connects again after `close()`, with the same subscriptions as before. */
  open(): void {
    this.#closed = false;
    for (const { redis } of this.#connections.values()) {
      if (redis.status === "end") redis.connect().catch(() => {});
      else redis.once("end", () => this.#closed || redis.connect().catch(() => {}));
    }
  }

  /** Reconnects all connections. */
  reconnect(): void {
    for (const { redis } of this.#connections.values()) redis.disconnect(true);
  }

  /** Ends all connections. */
  close(): void {
    this.#closed = true;
    for (const giveUp of [...this.#pending.keys()]) giveUp(new ClosedError());
    for (const { redis } of this.#connections.values()) redis.disconnect();
  }

  /** Subscribes at the shard that the channels belong to, and follows redirections. */
  #subscribe(command: Command, kind: (typeof kinds)[number], left: number): void {
    if (this.#closed) {
      command.reject(new ClosedError());
      return;
    }
    const connected = this.#connectionFor(command, kind);
    const callbacks = new CommandCallbacks(command);
    command.resolve = (reply) => {
      for (const channel of command.args) {
        for (const { subscriptions } of this.#connections.values())
          subscriptions[kind].delete(String(channel));
        connected.subscriptions[kind].set(String(channel), channel);
      }
      return callbacks.resolve(reply);
    };
    command.reject = (error) => {
      callbacks.restore();
      const again = (): void => this.#subscribe(command, kind, left - 1);
      if (left > 0 && this.#slots.redirect?.(error, again)) return;
      command.reject(error);
    };
    this.#send(command, connected);
  }

  #unsubscribe(command: Command, kind: (typeof kinds)[number]): void {
    const [channel] = command.args;
    const isOn = ({ subscriptions }: Connected): boolean => subscriptions[kind].has(String(channel));
    const connected =
      [...this.#connections.values()].find((one) => isOn(one)) ?? this.#connectionFor(command, kind);
    if (channel === undefined) connected.subscriptions[kind].clear();
    for (const one of command.args) connected.subscriptions[kind].delete(String(one));
    this.#send(command, connected);
  }

  /** SUNSUBSCRIBE without channels ends the subscriptions of all shards. */
  #unsubscribeAll(command: Command): void {
    const all = [...this.#connections.values()].map(({ redis, subscriptions }) => {
      subscriptions.ssubscribe.clear();
      return redis.sunsubscribe();
    });
    Promise.all(all).then(() => command.resolve(0), command.reject);
  }

  /** Sends `command` with a limit on the wait, because ioredis would keep a subscription for as long as connecting takes. */
  #send(command: Command, { redis }: Connected): void {
    this.#limit(command, redis);
    if (redis.status === "ready") redis.sendCommand(command);
    else this.#slots.whenPrimary(command, () => redis.sendCommand(command));
  }

  /** Rejects `command` if it is not answered in time, if the server refuses the connection, or if the client is closed. */
  #limit(command: Command, redis: Redis): void {
    const callbacks = new CommandCallbacks(command);
    const { timeoutMs } = this.#slots;
    const { host = "localhost", port = 6379 } = redis.options;
    const silence = `the connection for subscriptions did not answer within ${timeoutMs} ms`;
    const late = (): void =>
      giveUp(
        new NoPrimaryError(
          command.name.toUpperCase(),
          `${host}:${port}`,
          silence,
          undefined,
          "the command failed",
        ),
      );
    const timer = Number.isFinite(timeoutMs) ? setTimeout(late, timeoutMs) : undefined;
    const settle = (): void => {
      clearTimeout(timer);
      this.#pending.delete(giveUp);
    };
    const giveUp = (error: Error): void => {
      settle();
      callbacks.reject(error);
      // The server may still answer, so a late subscription is undone.
      command.resolve = () => this.#undo(command);
      command.reject = () => {};
    };
    this.#pending.set(giveUp, redis);
    command.resolve = (reply) => {
      settle();
      return callbacks.resolve(reply);
    };
    command.reject = (error) => {
      settle();
      callbacks.reject(error);
    };
  }

  /** Ends a subscription that was rejected but succeeds later. */
  #undo({ name, args }: Command): void {
    const undoing = new Command(name.toLowerCase().replace("sub", "unsub"), [...args]);
    undoing.promise.catch(() => {});
    if (subscribing.has(undoing.name)) this.take(undoing);
  }

  #connectionFor(command: Command, kind: (typeof kinds)[number]): Connected {
    const isOfShard = this.#slots.redirect !== undefined && kind === "ssubscribe";
    const shard = isOfShard ? this.#slots.shardOf(command) : undefined;
    const known = this.#connections.get(shard);
    if (known !== undefined) return known;
    const connected = this.#connect(shard);
    this.#connections.set(shard, connected);
    return connected;
  }

  #connect(shard: Shard | undefined): Connected {
    const redis = this.#client.subscriberOf(shard);
    const connected: Connected = {
      redis,
      renewed: new Set(),
      subscriptions: { subscribe: new Map(), psubscribe: new Map(), ssubscribe: new Map() },
    };
    redis.on("error", (error: Error) => {
      // A ReplyError means that the server has refused the connection, for example because of its password.
      if (error.name !== "ReplyError") return;
      for (const [giveUp, on] of [...this.#pending]) if (on === redis) giveUp(error);
    });
    for (const event of messages)
      redis.on(event, (...args: unknown[]) => this.#client.emitOutsideSessions(event, ...args));
    // ioredis's own autoResubscribe leaves a rejection unhandled, which ends the process.
    redis.on("ready", () => this.#subscribeAgain(connected));
    // When a slot moves away, the server ends the subscriptions to its channels.
    redis.on("moved", () => this.#subscribeAgain(connected));
    return connected;
  }

  #subscribeAgain({ redis, subscriptions, renewed }: Connected): void {
    if (!this.#client.resubscribes) return;
    const isResent = redis.options.autoResendUnfulfilledCommands !== false;
    for (const kind of kinds) {
      for (const channel of [...subscriptions[kind].values()]) {
        const key = `${kind} ${channel}`;
        // If a server closes each new connection, the resent subscriptions would pile up.
        if (isResent && renewed.has(key)) continue;
        renewed.add(key);
        const command = new Command(kind, [channel]);
        const settle = (): void => void renewed.delete(key);
        command.promise.then(settle, settle);
        this.#subscribe(command, kind, maxRedirections);
      }
    }
  }
}
