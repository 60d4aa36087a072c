/** The Sentinels of one primary: which servers they name, and the events that they report. */
import type { Redis, RedisOptions } from "ioredis";
import { addressOf, type Endpoint, endpointOf } from "../address.js";
import { disconnect, forgetClosed } from "../connection/disconnect.js";
import { OwnClient } from "../connection/own-client.js";
import { guardReplies } from "../connection/reply-guard.js";
import { withoutSecrets } from "../errors/secrets.js";
import { type AnnouncedAddresses, maxFollowed } from "./announced-addresses.js";
import { summarize } from "./fault-summary.js";

/** The answer of one Sentinel. */
export interface SentinelAnswer {
  readonly primary: Endpoint;
  readonly replicas: readonly (Endpoint & { readonly isDown: boolean })[];
  /** Grows with every failover. If two Sentinels differ, the one with the greater epoch is right. */
  readonly epoch: number;
}

const retryMaxMs = 1_000;
/**
 * The default of `sentinelCommandTimeout`. By default commands wait longer than this for a primary, so that their error can name
 * the cause.
 */
const answerMs = 750;

const nonsense =
  "its replies to SENTINEL are not valid, so check that this is the address of a Sentinel, with no proxy in between";
const notOne = "it is not a Sentinel, so put Sentinels in `sentinels`, or set this server as `primary`";
const unknownName = "so set `name` to the name after `sentinel monitor` in its configuration";

const epochs = /^\d{1,15}$/;
/** The most fields or servers that are read from one reply of a Sentinel. */
const maxEntries = 10_000;

/** One Sentinel: a connection for questions, and one for the events that it reports by itself. */
class SentinelClient {
  readonly #redis: Redis;
  readonly #events: Redis;
  fault = "not connected";
  /** When this Sentinel last answered or another one last named it, on the monotonic clock. */
  heardOfAt = performance.now();

  constructor(options: RedisOptions, onEvent: (message: string) => void) {
    const plain: RedisOptions & { protocol: 2; replyMapping: "legacy" } = {
      ...options,
      protocol: 2,
      replyMapping: "legacy",
      enableReadyCheck: false,
      retryStrategy: (times) => Math.min(times * 50, retryMaxMs),
      maxRetriesPerRequest: 0,
    };
    this.#redis = new OwnClient({ ...plain, commandTimeout: options.sentinelCommandTimeout ?? answerMs });
    // This class subscribes on each new connection itself. If ioredis renewed the subscription and the connection closed meanwhile,
    // nobody would notice. If ioredis sent an unanswered PSUBSCRIBE again, the connection would subscribe twice.
    this.#events = new OwnClient({
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
    this.#events.on("pmessage", (_pattern, _channel, message: string) => onEvent(message));
    this.#events.on("ready", () => {
      // The Sentinel does not repeat what it reported while there was no subscription, so an empty event starts a new question.
      this.#events.psubscribe("*").then(
        () => onEvent(""),
        () => {},
      );
    });
  }

  /**
   * Asks for the servers of the primary `name`. Rejects if the Sentinel does not answer, does not know the name, or is in the
   * middle of a change.
   */
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
    // The address belongs to this epoch only if the epoch was the same before and after the address was asked for.
    if (epochIn(before) !== epoch) throw new Error("its view of the primary changed while it answered");
    const replicasOf = listOf(replicas).flatMap((one) => {
      const fields = fieldsOf(one);
      const endpoint = endpointOf(fields.get("ip"), fields.get("port"));
      // "disconnected" is no sign of an outage: each replica that the Sentinel has just found has this flag, and no event reports
      // when the Sentinel removes it.
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
      // A Sentinel that hangs would not close the connection, and nobody needs its answers any more.
      redis.stream?.destroy();
    }
  }
}

/** Which Sentinels are asked, and about which primary. */
export interface SentinelGroupOptions {
  /** The name that the Sentinels have for the primary. */
  readonly name: string;
  readonly given: readonly RedisOptions[];
  /**
   * Decides which of the Sentinels named by other Sentinels are asked, and at which address. Undefined if only the given Sentinels
   * are asked.
   */
  readonly others: AnnouncedAddresses | undefined;
  /** How long a Sentinel is kept after it last answered or another one last named it, in milliseconds. */
  readonly lingerMs: number;
  readonly onEvent: () => void;
}

export class SentinelGroup {
  readonly #options: SentinelGroupOptions;
  /** By address: the given Sentinels, and the Sentinels that other Sentinels name. */
  readonly #sentinels = new Map<string, SentinelClient>();

  constructor(options: SentinelGroupOptions) {
    this.#options = options;
  }

  /** Why no Sentinel has named a primary, with the cause of each. */
  get fault(): string {
    if (this.#sentinels.size === 0) return "closed";
    return summarize(new Map([...this.#sentinels].map(([address, { fault }]) => [address, fault])));
  }

  get count(): number {
    return this.#sentinels.size;
  }

  /** Asks all Sentinels. Calls `onAnswer` with each answer as it comes, and resolves after the last. */
  async ask(onAnswer: (answer: SentinelAnswer) => void): Promise<void> {
    let isAnswered = false;
    const asked = [...this.#sentinels.values()].map(async (sentinel) => {
      try {
        const answer = await sentinel.ask(this.#options.name);
        sentinel.heardOfAt = performance.now();
        isAnswered = true;
        for (const endpoint of answer.sentinels.slice(0, maxFollowed)) this.#learn(endpoint);
        onAnswer(answer);
      } catch (error) {
        // This error does not name the cause. The "error" event of the connection does.
        if (error instanceof Error && error.name === "MaxRetriesPerRequestError") return;
        sentinel.fault = faultOf(error);
      }
    });
    await Promise.all(asked);
    if (isAnswered) this.#forget();
  }

  open(): void {
    for (const server of this.#options.given) this.#add(server);
  }

  close(): void {
    for (const sentinel of this.#sentinels.values()) sentinel.close();
    this.#sentinels.clear();
  }

  /** Records that a Sentinel has named another one. */
  #learn(endpoint: Endpoint): void {
    const at = this.#options.others?.reach(endpoint);
    if (at === undefined) return;
    const { host, port, family } = at;
    const server = { ...this.#options.given[0], host, port, family };
    const known = this.#sentinels.get(addressOf(server));
    if (known !== undefined) known.heardOfAt = performance.now();
    else if (this.#sentinels.size >= maxFollowed) this.#options.others?.warnOfMany("Sentinels", maxFollowed);
    else this.#add(server);
  }

  /** Closes the Sentinels that no longer answer and are no longer named, unless they were given. */
  #forget(): void {
    const given = new Set(this.#options.given.map(addressOf));
    const now = performance.now();
    for (const [address, sentinel] of this.#sentinels) {
      if (given.has(address) || now - sentinel.heardOfAt < this.#options.lingerMs) continue;
      this.#sentinels.delete(address);
      sentinel.close();
    }
  }

  #add(server: RedisOptions): void {
    const address = addressOf(server);
    if (this.#sentinels.has(address)) return;
    const isRelevant = (message: string): boolean =>
      message === "" || message.split(" ").includes(this.#options.name);
    this.#sentinels.set(
      address,
      new SentinelClient(server, (message) => isRelevant(message) && this.#options.onEvent()),
    );
  }
}

/** Why a Sentinel cannot be asked, and what to do. */
function faultOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/^ERR unknown command/i.test(message)) return notOne;
  if (message.startsWith("ERR No such master")) return `${message}, ${unknownName}`;
  return message;
}

function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply.slice(0, maxEntries) : [];
}

/** The fields of a reply in which each name stands before its value. Only strings are kept. */
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
