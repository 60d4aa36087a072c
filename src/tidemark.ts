/** The entry: options in, connections and sessions out. */
import { Redis, type RedisOptions } from "ioredis";
import { RoutedRedis } from "./client.js";
import { asyncLocalStorage } from "./context/async-local-storage.js";
import type { Context } from "./context/context.js";
import { InvalidOptionError } from "./errors.js";
import { checkLevel, type Level } from "./level.js";
import { Lineage } from "./lineage.js";
import { Router } from "./router.js";
import { Session, type SessionClient } from "./session.js";
import { staticTopology } from "./topology/static.js";
import { type NodeStatus, statusOf } from "./topology/status.js";
import type { Topology } from "./topology/topology.js";

/** A server: a URL (`redis://host:port/db`, `rediss://…`), ioredis options, or an ioredis client whose options are taken. */
export type Server = string | RedisOptions | Redis;

/** The options of {@link Tidemark}; times are in milliseconds. */
export interface TidemarkOptions {
  /** Takes the writes. */
  readonly primary: Server;
  /** Answer reads. Without any, everything works on the primary. */
  readonly replicas?: readonly Server[];
  /** ioredis options for every connection (password, TLS, db, keyPrefix). */
  readonly redis?: RedisOptions;
  /** A replica not proven to be fresher than this gets no read at any level. Default 10000. */
  readonly maxStalenessMs?: number;
  /** How long a token is in force; must be larger than `maxStalenessMs`. Default 60000. */
  readonly tokenTtlMs?: number;
  /** How long a replica's position is remembered before it is asked again; only while it is in use. Default 250. */
  readonly probeIntervalMs?: number;
  /** How long a read may wait for a replica to catch up before `fallback` applies. Default 0. */
  readonly waitMs?: number;
  /** Where a read goes that no replica may answer: to the primary, or to a `ReplicasBehindError`. Default `"primary"`. */
  readonly fallback?: "primary" | "error";
  /**
   * `"when-needed"` trusts a replica's position for `probeIntervalMs`; `"always"` has each read prove it in a
   * transaction of its own, which closes the window in which a resynchronisation can empty a replica unseen, at up to
   * five times the server's work. Default `"when-needed"`.
   */
  readonly verify?: "when-needed" | "always";
  /** Finds the session of the current request. Default: Node's AsyncLocalStorage. */
  readonly context?: Context;
}

/** What a session starts with. */
export interface SessionOptions {
  /**
   * What `session.token()` gave in another request or process: one, several, or a function that is called when the
   * session first needs them. Whatever is not a token counts as absent.
   */
  readonly token?: string | readonly string[] | (() => readonly string[]);
  /** The level of reads that name none. Default `"session"`. */
  readonly level?: Level;
}

const defaults = { maxStalenessMs: 10_000, tokenTtlMs: 60_000, probeIntervalMs: 250, waitMs: 0 };

/** Connections to one primary and its replicas, and the sessions that read and write through them. */
export class Tidemark implements AsyncDisposable {
  /** The client that follows the session of the current request through `await`; outside any it reads from the primary. */
  readonly redis: SessionClient;
  /** How long a token is in force, in milliseconds. */
  readonly tokenTtlMs: number;
  readonly #topology: Topology;
  readonly #router: Router;
  readonly #context: Context;
  readonly #base: RoutedRedis;
  readonly #lineage = new Lineage();
  readonly #limits: { maxStalenessMs: number; probeIntervalMs: number };

  /** Connects at once; throws an `InvalidOptionError` for an option that cannot be used. */
  constructor(options: TidemarkOptions) {
    if (typeof options !== "object" || options === null) {
      throw new InvalidOptionError("options", options, "give { primary, replicas }");
    }
    const { primary, replicas = [], redis = {}, fallback = "primary", verify = "when-needed" } = options;
    const maxStalenessMs = positive("maxStalenessMs", options.maxStalenessMs, 1);
    const probeIntervalMs = positive("probeIntervalMs", options.probeIntervalMs, 1);
    const waitMs = positive("waitMs", options.waitMs, 0);
    this.tokenTtlMs = positive("tokenTtlMs", options.tokenTtlMs, 1);
    if (this.tokenTtlMs <= maxStalenessMs) {
      const remedy = `give more than maxStalenessMs (${maxStalenessMs}), or a token could run out before its write has arrived`;
      throw new InvalidOptionError("tokenTtlMs", this.tokenTtlMs, remedy);
    }
    if (fallback !== "primary" && fallback !== "error") {
      throw new InvalidOptionError("fallback", fallback, 'give "primary" or "error"');
    }
    if (verify !== "when-needed" && verify !== "always") {
      throw new InvalidOptionError("verify", verify, 'give "when-needed" or "always"');
    }
    if (!Array.isArray(replicas))
      throw new InvalidOptionError("replicas", replicas, "give a list of servers");
    const first = serverOptions("primary", primary, redis);
    const others = replicas.map((server, index) => serverOptions(`replicas[${index}]`, server, redis));
    this.#limits = { maxStalenessMs, probeIntervalMs };
    this.#topology = staticTopology({ primary: first, replicas: others }, this.#limits, this.#lineage);
    this.#router = new Router(this.#topology, { maxStalenessMs, waitMs, fallback, verify });
    this.#context = options.context ?? asyncLocalStorage();
    this.#base = new RoutedRedis(
      first,
      this.#router,
      () => this.#context.get(),
      () => this.ready(),
    );
    this.redis = this.#base;
  }

  /** Resolves when the primary can be reached, which commands wait for by themselves; rejects when it never will be. */
  ready(): Promise<void> {
    return Promise.all(this.#topology.shards.map((shard) => shard.primary.connected())).then(() => undefined);
  }

  /** A new session; `tidemark.run` makes it that of all that is called inside. */
  session(options: SessionOptions = {}): Session {
    const { token = [], level } = options;
    return new Session({
      level: level === undefined ? "session" : checkLevel(level),
      tokens: typeof token === "function" ? token : () => (typeof token === "string" ? [token] : token),
      ttlMs: this.tokenTtlMs,
      client: (session) => this.#base.of(session),
    });
  }

  /** Calls `fn` with `session` as the session of `tidemark.redis`, also in whatever `fn` starts. */
  run<R>(session: Session, fn: () => R): R {
    return this.#context.run(session, fn);
  }

  /** Each server: its role and position, how far behind it is, and whether it may answer reads now or why not. */
  topology(): readonly NodeStatus[] {
    return this.#topology.shards.flatMap((shard) => statusOf(shard, this.#limits.maxStalenessMs));
  }

  /** Ends all connections at once; what is unanswered is rejected. */
  async close(): Promise<void> {
    this.#router.close();
    this.#base.closeSubscriptions();
    this.#topology.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function positive(option: keyof typeof defaults, value: unknown, least: number): number {
  const given = value ?? defaults[option];
  if (typeof given === "number" && Number.isFinite(given) && given >= least) return given;
  throw new InvalidOptionError(option, value, `give a number of milliseconds, at least ${least}`);
}

function serverOptions(option: string, server: unknown, common: RedisOptions): RedisOptions {
  if (typeof server === "string" && server !== "") return urlOptions(server, common);
  if (typeof server === "object" && server !== null && !Array.isArray(server)) {
    if (!("sendCommand" in server)) return { ...common, ...server };
    // Not by its class, since it may come from another copy of ioredis.
    const isClient = "options" in server && "isCluster" in server && server.isCluster === false;
    if (isClient && typeof server.options === "object") return { ...common, ...server.options };
  }
  throw new InvalidOptionError(
    option,
    server,
    'give a URL like "redis://10.0.0.1:6379", ioredis options, or a client',
  );
}

/** ioredis alone knows how it reads a URL, so one of its clients, never connected, does it. */
function urlOptions(url: string, common: RedisOptions): RedisOptions {
  const lazily: RedisOptions = { ...common, lazyConnect: true };
  const { options } = new Redis(url, lazily as RedisOptions & { replyMapping?: "legacy" });
  return { ...options, lazyConnect: common.lazyConnect ?? false };
}
