/** The Sentinels that watch over one primary: whom they name, and that they have something new to tell. */
import { Redis, type RedisOptions } from "ioredis";
import { addressOf, type Endpoint, endpointOf } from "../address.js";
import { disconnect, forgetClosed } from "../connection/disconnect.js";
import { guardReplies } from "../connection/reply-guard.js";
import { withoutSecrets } from "../errors/secrets.js";
import { type AnnouncedAddresses, maxFollowed } from "./announced-addresses.js";
import { summarize } from "./fault-summary.js";

/** What one Sentinel says. */
export interface SentinelAnswer {
  readonly primary: Endpoint;
  readonly replicas: readonly (Endpoint & { readonly isDown: boolean })[];
  /** Grows with every failover: of two Sentinels that differ, the one with the greater is right. */
  readonly epoch: number;
}

const retryMaxMs = 1_000;
/** Unless `sentinelCommandTimeout` says otherwise. Less than commands wait for a primary, so that their error can say why. */
const answerMs = 750;

const nonsense =
  "its replies to SENTINEL make no sense; check that this is the address of a Sentinel, with nothing but TCP in between";
const notOne = "it is not a Sentinel; give the addresses of Sentinels, or give this server as `primary`";
const unknownName = "give as `name` what stands behind `sentinel monitor` in its configuration";

const epochs = /^\d{1,15}$/;
/** A reply with more fields, or of more servers, is none of a Sentinel's. */
const maxEntries = 10_000;

/** One Sentinel: a connection to ask it, and one on which it tells by itself. */
class SentinelClient {
  readonly #redis: Redis;
  readonly #events: Redis;
  fault = "not connected";
  /** When it has answered, or another one has named it, on the monotonic clock. */
  heardOfAt = performance.now();

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
    // Nobody would hear of it if a subscription that ioredis renews by itself were cut short. One that it sends again by
    // itself would come on top of the one that each connection begins with.
    this.#events = new Redis({
      ...plain,
      maxRetriesPerRequest: null,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
    });
    for (const redis of [this.#redis, this.#events]) {
      forgetClosed(redis);
      guardReplies(redis);
      redis.on("error", (error: Error) => {
        this.fault = withoutSecrets(error, options).message;
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
  async ask(name: string): Promise<SentinelAnswer & { readonly sentinels: readonly Endpoint[] }> {
    const ask = (about: string): Promise<unknown> => this.#redis.call("SENTINEL", about, name);
    const [before, address, replicas, sentinels, after] = await Promise.all([
      ask("MASTER"),
      ask("GET-MASTER-ADDR-BY-NAME"),
      ask("REPLICAS"),
      ask("SENTINELS"),
      ask("MASTER"),
    ]);
    const [host, port] = listOf(address);
    const primary = endpointOf(host, port);
    const epoch = epochIn(after);
    if (primary === undefined || epoch === undefined) throw new Error(nonsense);
    // The address belongs to this epoch only if the epoch was the same on both sides of it.
    if (epochIn(before) !== epoch) throw new Error("it is changing its mind");
    const replicasOf = listOf(replicas).flatMap((one) => {
      const fields = fieldsOf(one);
      const endpoint = endpointOf(fields.get("ip"), fields.get("port"));
      // A replica it has only just found is "disconnected", and nothing is told when it is that no more.
      const isDown = /[so]_down/.test(fields.get("flags") ?? "");
      return endpoint === undefined ? [] : { ...endpoint, isDown };
    });
    return {
      primary,
      replicas: replicasOf,
      epoch,
      sentinels: listOf(sentinels).flatMap((one) => {
        const fields = fieldsOf(one);
        return endpointOf(fields.get("ip"), fields.get("port")) ?? [];
      }),
    };
  }

  close(): void {
    for (const redis of [this.#redis, this.#events]) {
      disconnect(redis);
      // A Sentinel that hangs does not close the connection, and nothing that is unanswered is waited for.
      redis.stream?.destroy();
    }
  }
}

/** Which Sentinels are asked, and for what. */
export interface SentinelGroupOptions {
  /** What they call the primary. */
  readonly name: string;
  readonly given: readonly RedisOptions[];
  /** Those that others name; undefined when only those that were given are asked. */
  readonly others: AnnouncedAddresses | undefined;
  /** How long one is kept that neither answers nor is named by any other, in milliseconds. */
  readonly lingerMs: number;
  readonly onNews: () => void;
}

export class SentinelGroup {
  readonly #name: string;
  readonly #given: readonly RedisOptions[];
  readonly #others: AnnouncedAddresses | undefined;
  readonly #lingerMs: number;
  readonly #onNews: () => void;
  /** By address; those given, and those that they know of. */
  readonly #sentinels = new Map<string, SentinelClient>();

  constructor({ name, given, others, lingerMs, onNews }: SentinelGroupOptions) {
    this.#name = name;
    this.#given = given;
    this.#others = others;
    this.#lingerMs = lingerMs;
    this.#onNews = onNews;
  }

  /** Why nothing is known, by the word of each. */
  get fault(): string {
    if (this.#sentinels.size === 0) return "closed";
    return summarize(new Map([...this.#sentinels].map(([address, { fault }]) => [address, fault])));
  }

  get count(): number {
    return this.#sentinels.size;
  }

  /** Asks all of them; `answer` is called with each answer as it comes, and the promise resolves after the last. */
  async ask(answer: (naming: SentinelAnswer) => void): Promise<void> {
    let isAnswered = false;
    const asked = [...this.#sentinels.values()].map(async (sentinel) => {
      try {
        const naming = await sentinel.ask(this.#name);
        sentinel.heardOfAt = performance.now();
        isAnswered = true;
        for (const endpoint of naming.sentinels.slice(0, maxFollowed)) this.#learn(endpoint);
        answer(naming);
      } catch (error) {
        // Its connection's own error says why.
        if (error instanceof Error && error.name === "MaxRetriesPerRequestError") return;
        sentinel.fault = faultOf(error);
      }
    });
    await Promise.all(asked);
    if (isAnswered) this.#forget();
  }

  open(): void {
    for (const server of this.#given) this.#add(server);
  }

  close(): void {
    for (const sentinel of this.#sentinels.values()) sentinel.close();
    this.#sentinels.clear();
  }

  /** Takes in that a Sentinel has named another one. */
  #learn(endpoint: Endpoint): void {
    const at = this.#others?.reach(endpoint);
    if (at === undefined) return;
    const { host, port, family } = at;
    const server = { ...this.#given[0], host, port, family };
    const known = this.#sentinels.get(addressOf(server));
    if (known !== undefined) known.heardOfAt = performance.now();
    else if (this.#sentinels.size >= maxFollowed) this.#others?.warnOfMany("Sentinels", maxFollowed);
    else this.#add(server);
  }

  /** Ends the connections to those that neither answer nor are named any more, unless they were given. */
  #forget(): void {
    const given = new Set(this.#given.map(addressOf));
    const now = performance.now();
    for (const [address, sentinel] of this.#sentinels) {
      if (given.has(address) || now - sentinel.heardOfAt < this.#lingerMs) continue;
      this.#sentinels.delete(address);
      sentinel.close();
    }
  }

  #add(server: RedisOptions): void {
    const address = addressOf(server);
    if (this.#sentinels.has(address)) return;
    const mine = (message: string): boolean => message === "" || message.split(" ").includes(this.#name);
    this.#sentinels.set(address, new SentinelClient(server, (about) => mine(about) && this.#onNews()));
  }
}

/** Why a Sentinel cannot be asked, and what to do. */
function faultOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/^ERR unknown command/i.test(message)) return notOne;
  if (message.startsWith("ERR No such master")) return `${message}; ${unknownName}`;
  return message;
}

function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply.slice(0, maxEntries) : [];
}

/** The fields of a reply that has each name in front of its value; others than texts are passed over. */
function fieldsOf(reply: unknown): ReadonlyMap<string, string> {
  const list = listOf(reply);
  const fields = new Map<string, string>();
  for (let i = 0; i < list.length; i += 2) {
    const [name, value] = [list[i], list[i + 1]];
    if (typeof name === "string" && typeof value === "string") fields.set(name, value);
  }
  return fields;
}

function epochIn(reply: unknown): number | undefined {
  const epoch = fieldsOf(reply).get("config-epoch");
  return epoch !== undefined && epochs.test(epoch) ? Number(epoch) : undefined;
}
