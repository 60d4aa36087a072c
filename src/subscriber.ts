/** The one connection for pub/sub of a client, which would silence everything else on a shared one. */
import type { Command, Redis } from "ioredis";
import { ClosedError } from "./errors.js";

const subscribing = new Set([
  "subscribe",
  "psubscribe",
  "ssubscribe",
  "unsubscribe",
  "punsubscribe",
  "sunsubscribe",
]);

/** The client that commands of pub/sub are given to, and that tells of their messages. */
export interface Subscribed extends Pick<Redis, "duplicate"> {
  tell(event: string, ...args: unknown[]): void;
}

const messages = [
  "message",
  "messageBuffer",
  "pmessage",
  "pmessageBuffer",
  "smessage",
  "smessageBuffer",
] as const;

export class Subscriber {
  #redis: Redis | undefined;
  #closed = false;

  /** Takes `command` if it is one of pub/sub; connects for the first. Messages become those of `client`. */
  take(command: Command, client: Subscribed): boolean {
    if (!subscribing.has(command.name.toLowerCase())) return false;
    if (this.#closed) command.reject(new ClosedError());
    else {
      this.#redis ??= open(client);
      this.#redis.sendCommand(command);
    }
    return true;
  }

  /** Connects again after it was closed, with the subscriptions it had. */
  open(): void {
    this.#closed = false;
    const redis = this.#redis;
    if (redis?.status === "end") redis.connect().catch(() => {});
    else redis?.once("end", () => this.#closed || redis.connect().catch(() => {}));
  }

  /** Begins the connection anew, if there is one. */
  reconnect(): void {
    this.#redis?.disconnect(true);
  }

  /** Ends the connection, if there is one. */
  close(): void {
    this.#closed = true;
    this.#redis?.disconnect();
  }
}

function open(client: Subscribed): Redis {
  const redis = client.duplicate();
  redis.on("error", () => {});
  for (const event of messages) redis.on(event, (...args: unknown[]) => client.tell(event, ...args));
  return redis;
}
