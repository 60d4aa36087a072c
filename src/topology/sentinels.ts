/** The Sentinels that watch over one primary: whom they name, and that they have something new to tell. */
import { Redis, type RedisOptions } from "ioredis";
import type { Endpoint } from "../address.js";
import { addressOf } from "../address.js";
import { announcedServer } from "./announced.js";

/** What one Sentinel says. */
export interface Naming {
  readonly primary: Endpoint;
  readonly replicas: readonly (Endpoint & { readonly isDown: boolean })[];
  /** Grows with every failover: of two Sentinels that differ, the one with the greater is right. */
  readonly epoch: number;
}

const retryMaxMs = 1_000;
/** Unless `sentinelCommandTimeout` says otherwise. Less than commands wait for a primary, so that their error can say why. */
const answerMs = 750;

/** One Sentinel: a connection to ask it, and one on which it tells by itself. */
class Sentinel {
  readonly #redis: Redis;
  readonly #events: Redis;
  fault = "not connected";

  constructor(options: RedisOptions, onNews: (about: string) => void) {
    const plain: RedisOptions & { protocol: 2; replyMapping: "legacy" } = {
      ...options,
      protocol: 2,
      replyMapping: "legacy",
      enableReadyCheck: false,
      retryStrategy: (times) => Math.min(times * 50, retryMaxMs),
      maxRetriesPerRequest: 0,
    };
    this.#redis = new Redis({ ...plain, commandTimeout: options.sentinelCommandTimeout ?? answerMs });
    // Nobody would hear of it if a subscription that ioredis renews by itself were cut short.
    this.#events = new Redis({ ...plain, maxRetriesPerRequest: null, autoResubscribe: false });
    for (const redis of [this.#redis, this.#events]) {
      redis.on("error", (error: Error) => {
        this.fault = `${addressOf(options)}: ${error.message}`;
      });
    }
    this.#events.on("pmessage", (_pattern, _channel, message: string) => onNews(message));
    this.#events.on("ready", () => {
      // What it said meanwhile is not said again.
      this.#events.psubscribe("*").then(
        () => onNews(""),
        () => {},
      );
    });
  }

  /** Rejects when it cannot be asked, does not know the name, or is changing its mind. */
  async ask(name: string): Promise<Naming & { readonly sentinels: readonly Endpoint[] }> {
    const ask = (about: string): Promise<unknown> => this.#redis.call("SENTINEL", about, name);
    const [before, address, replicas, sentinels, after] = await Promise.all([
      ask("MASTER"),
      ask("GET-MASTER-ADDR-BY-NAME"),
      ask("REPLICAS"),
      ask("SENTINELS"),
      ask("MASTER"),
    ]);
    const [host, port] = listOf(address);
    const epoch = Number(fieldsOf(after).get("config-epoch"));
    // The address belongs to this epoch only if the epoch was the same on both sides of it.
    if (Number(fieldsOf(before).get("config-epoch")) !== epoch) throw new Error("it is changing its mind");
    const replicasOf = listOf(replicas).map((one) => {
      const fields = fieldsOf(one);
      // A replica it has only just found is "disconnected", and nothing is told when it is that no more.
      const isDown = /[so]_down/.test(fields.get("flags") ?? "");
      return { ...endpointOf(fields), isDown };
    });
    return {
      primary: { host: String(host), port: Number(port) },
      replicas: replicasOf,
      epoch,
      sentinels: listOf(sentinels).map((one) => endpointOf(fieldsOf(one))),
    };
  }

  close(): void {
    this.#redis.disconnect();
    this.#events.disconnect();
  }
}

export class Sentinels {
  readonly #name: string;
  readonly #common: RedisOptions;
  readonly #given: readonly RedisOptions[];
  readonly #onNews: () => void;
  /** By address; those given, and those that they know of. */
  readonly #sentinels = new Map<string, Sentinel>();

  constructor(name: string, given: readonly RedisOptions[], common: RedisOptions, onNews: () => void) {
    this.#name = name;
    this.#given = given;
    this.#common = common;
    this.#onNews = onNews;
  }

  /** Why nothing is known, by the word of one of them. */
  get fault(): string {
    const faults = [...this.#sentinels.values()].map(({ fault }) => fault);
    return faults.find((fault) => fault.includes("No such master")) ?? faults[0] ?? "closed";
  }

  get count(): number {
    return this.#sentinels.size;
  }

  /** Asks all of them; `answer` is called with each answer as it comes, and the promise resolves after the last. */
  async ask(answer: (naming: Naming) => void): Promise<void> {
    const asked = [...this.#sentinels].map(async ([address, sentinel]) => {
      try {
        const naming = await sentinel.ask(this.#name);
        if (this.#common.updateSentinels !== false)
          for (const endpoint of naming.sentinels) this.#add(this.#reach(endpoint));
        answer(naming);
      } catch (error) {
        // Its connection's own error says why.
        if (error instanceof Error && error.name === "MaxRetriesPerRequestError") return;
        sentinel.fault = `${address}: ${error instanceof Error ? error.message : String(error)}`;
      }
    });
    await Promise.all(asked);
  }

  open(): void {
    for (const server of this.#given) this.#add(server);
  }

  close(): void {
    for (const sentinel of this.#sentinels.values()) sentinel.close();
    this.#sentinels.clear();
  }

  #reach(endpoint: Endpoint): RedisOptions {
    const { host, port, family } = announcedServer(endpoint, {}, this.#common.natMap);
    return { ...this.#given[0], host, port, family };
  }

  #add(server: RedisOptions): void {
    const address = addressOf(server);
    if (this.#sentinels.has(address)) return;
    const mine = (message: string): boolean => message === "" || message.split(" ").includes(this.#name);
    this.#sentinels.set(address, new Sentinel(server, (about) => mine(about) && this.#onNews()));
  }
}

function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}

function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const list = listOf(reply).map(String);
  return new Map(list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1] ?? ""] as const] : [])));
}

function endpointOf(fields: ReadonlyMap<string, string>): Endpoint {
  return { host: fields.get("ip") ?? "", port: Number(fields.get("port")) };
}
