/** The connections for pub/sub of a client, which would silence everything else on a shared one. */
import { Command, type Redis } from "ioredis";
import { Ends } from "./ends.js";
import { ClosedError } from "./errors.js";
import type { Redirect } from "./redirects.js";
import type { Shard } from "./shard.js";

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
  /** A client of the primary of a shard; of any when that makes no difference. */
  subscriberOf(shard: Shard | undefined): Redis;
  tell(event: string, ...args: unknown[]): void;
}

/** Where a channel belongs, where data is spread over shards, and whether anybody is there to subscribe at. */
export interface ChannelSlots {
  /** Calls `start` when there is a primary for `command`, or rejects it when there is none in time. */
  whenPrimary(command: Command, start: () => void): void;
  shardOf(command: Command): Shard | undefined;
  readonly redirect: Redirect | undefined;
}

const ofShards = new Set(["ssubscribe", "sunsubscribe"]);

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

/**
 * One connection for all channels and patterns, whose messages every node of a cluster passes on, and in a cluster one to
 * each shard for the channels that belong to it.
 */
export class Subscriber {
  readonly #client: Subscribed;
  readonly #slots: ChannelSlots;
  readonly #connections = new Map<Shard | undefined, Redis>();
  /** The channels of shards, each with the connection it is subscribed on. */
  readonly #channels = new Map<string, Redis>();
  #closed = false;

  constructor(client: Subscribed, slots: ChannelSlots) {
    this.#client = client;
    this.#slots = slots;
  }

  /** Takes `command` if it is one of pub/sub; connects for the first. */
  take(command: Command): boolean {
    const name = command.name.toLowerCase();
    if (!subscribing.has(name)) return false;
    if (this.#closed) command.reject(new ClosedError());
    else if (this.#slots.redirect === undefined || !ofShards.has(name))
      this.#send(command, this.#connectionTo(undefined));
    else if (name === "ssubscribe") this.#subscribe(command, maxRedirections);
    else this.#unsubscribe(command);
    return true;
  }

  /** What ioredis keeps until there is a connection, it would keep for long. */
  #send(command: Command, redis: Redis): void {
    if (redis.status === "ready") redis.sendCommand(command);
    else this.#slots.whenPrimary(command, () => redis.sendCommand(command));
  }

  /** Connects again after it was closed, with the subscriptions it had. */
  open(): void {
    this.#closed = false;
    for (const redis of this.#connections.values()) {
      if (redis.status === "end") redis.connect().catch(() => {});
      else redis.once("end", () => this.#closed || redis.connect().catch(() => {}));
    }
  }

  /** Begins the connections anew, if there are any. */
  reconnect(): void {
    for (const redis of this.#connections.values()) redis.disconnect(true);
  }

  /** Ends the connections, if there are any. */
  close(): void {
    this.#closed = true;
    for (const redis of this.#connections.values()) redis.disconnect();
  }

  /** Subscribes where the channels belong, as often as the cluster says that this is elsewhere. */
  #subscribe(command: Command, left: number): void {
    if (this.#closed) {
      command.reject(new ClosedError());
      return;
    }
    const redis = this.#connectionTo(this.#slots.shardOf(command));
    const ends = new Ends(command);
    command.resolve = (reply) => {
      for (const channel of command.args) this.#channels.set(String(channel), redis);
      return ends.resolve(reply);
    };
    command.reject = (error) => {
      ends.giveBack();
      const again = (): void => this.#subscribe(command, left - 1);
      if (left > 0 && this.#slots.redirect?.(error, again)) return;
      command.reject(error);
    };
    this.#send(command, redis);
  }

  /** Without channels it means all of them, on every connection. */
  #unsubscribe(command: Command): void {
    const [channel] = command.args;
    if (channel !== undefined) {
      const redis = this.#channels.get(String(channel)) ?? this.#connectionTo(this.#slots.shardOf(command));
      for (const one of command.args) this.#channels.delete(String(one));
      this.#send(command, redis);
      return;
    }
    this.#channels.clear();
    const all = [...this.#connections.values()].map((redis) => redis.sunsubscribe());
    Promise.all(all).then(() => command.resolve(0), command.reject);
  }

  #connectionTo(shard: Shard | undefined): Redis {
    const known = this.#connections.get(shard);
    if (known !== undefined) return known;
    const redis = this.#client.subscriberOf(shard);
    redis.on("error", () => {});
    for (const event of messages) redis.on(event, (...args: unknown[]) => this.#client.tell(event, ...args));
    // Slots were moved away: the server has ended the subscriptions to channels that belong to them.
    redis.on("moved", () => this.#subscribeAnew(redis));
    this.#connections.set(shard, redis);
    return redis;
  }

  #subscribeAnew(redis: Redis): void {
    for (const [channel, on] of this.#channels) {
      if (on !== redis) continue;
      const command = new Command("ssubscribe", [channel]);
      command.promise.catch(() => {});
      this.#subscribe(command, maxRedirections);
    }
  }
}
