/** Dedicated connections for pub/sub: a subscription would block all other commands on a shared connection. */
import { Command, type Redis } from "ioredis";
import { Ends } from "../commands/ends.js";
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

/** The client that commands of pub/sub are given to, and that emits their messages. */
export interface Subscribed {
  /** Whether subscriptions are made again after a reconnect, as the user's `autoResubscribe` says. */
  readonly resubscribes: boolean;
  /** A client of the primary of a shard; of any when that makes no difference. */
  subscriberOf(shard: Shard | undefined): Redis;
  emitOutsideSessions(event: string, ...args: unknown[]): void;
}

/** Finds the server for a subscription. */
export interface ChannelSlots {
  /** Calls `start` when there is a primary for `command`, or rejects it when there is none in time. */
  whenPrimary(command: Command, start: () => void): void;
  /** How long a subscription may take, in milliseconds; Infinity for as long as it takes. */
  readonly timeoutMs: number;
  shardOf(command: Command): Shard | undefined;
  /** Follows a redirection: whether `again` will be called when the command can be sent again. */
  readonly redirect: ((error: Error, again: () => void) => boolean) | undefined;
}

const silence = "the connection for subscriptions does not answer";

const messages = [
  "message",
  "messageBuffer",
  "pmessage",
  "pmessageBuffer",
  "smessage",
  "smessageBuffer",
] as const;

/** As in ioredis. */
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
 * One connection serves all channels and patterns, because every node of a cluster passes their messages on. In a cluster
 * there is one more for the channels of each shard.
 */
export class PubSub {
  readonly #client: Subscribed;
  readonly #slots: ChannelSlots;
  readonly #connections = new Map<Shard | undefined, Connected>();
  /** Rejects a command that is not answered yet, by the connection that it was sent to. */
  readonly #pending = new Map<(error: Error) => void, Redis>();
  #closed = false;

  constructor(client: Subscribed, slots: ChannelSlots) {
    this.#client = client;
    this.#slots = slots;
  }

  /** Takes `command` if it is one of pub/sub; connects for the first. */
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

  /** Connects again after it was closed, with the subscriptions it had. */
  open(): void {
    this.#closed = false;
    for (const { redis } of this.#connections.values()) {
      if (redis.status === "end") redis.connect().catch(() => {});
      else redis.once("end", () => this.#closed || redis.connect().catch(() => {}));
    }
  }

  /** Reconnects, if there are connections. */
  reconnect(): void {
    for (const { redis } of this.#connections.values()) redis.disconnect(true);
  }

  /** Ends the connections, if there are any. */
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
    const ends = new Ends(command);
    command.resolve = (reply) => {
      for (const channel of command.args) {
        for (const { subscriptions } of this.#connections.values())
          subscriptions[kind].delete(String(channel));
        connected.subscriptions[kind].set(String(channel), channel);
      }
      return ends.resolve(reply);
    };
    command.reject = (error) => {
      ends.restore();
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

  /** Limits the wait here, because ioredis would keep a subscription for as long as it takes to connect. */
  #send(command: Command, { redis }: Connected): void {
    this.#limit(command, redis);
    if (redis.status === "ready") redis.sendCommand(command);
    else this.#slots.whenPrimary(command, () => redis.sendCommand(command));
  }

  /** Rejects `command` when it is not answered in time, when the server refuses the connection, and at the end. */
  #limit(command: Command, redis: Redis): void {
    const ends = new Ends(command);
    const { timeoutMs } = this.#slots;
    const { host = "localhost", port = 6379 } = redis.options;
    const late = (): void =>
      giveUp(new NoPrimaryError(command.name.toUpperCase(), `${host}:${port}`, silence));
    const timer = Number.isFinite(timeoutMs) ? setTimeout(late, timeoutMs) : undefined;
    const settle = (): void => {
      clearTimeout(timer);
      this.#pending.delete(giveUp);
    };
    const giveUp = (error: Error): void => {
      settle();
      ends.reject(error);
      // The server may still answer.
      command.resolve = () => this.#undo(command);
      command.reject = () => {};
    };
    this.#pending.set(giveUp, redis);
    command.resolve = (reply) => {
      settle();
      return ends.resolve(reply);
    };
    command.reject = (error) => {
      settle();
      ends.reject(error);
    };
  }

  /** Ends a subscription that was rejected and succeeds later. */
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
      // The server has refused the connection, for example by its password.
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
        // Against a server that closes the connection each time, they would become more and more.
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
