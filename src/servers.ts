/** Which servers a Tidemark is given, or where to ask for them, checked once. */
import { Redis, type RedisOptions } from "ioredis";
import { InvalidOptionError } from "./errors.js";
import { refuseCommonOptions, refuseOptions } from "./redis-options.js";
import type { SentinelServers } from "./topology/sentinel.js";

/** A server: a URL (`redis://host:port/db`, `rediss://…`), ioredis options, or an ioredis client whose options are taken. */
export type Server = string | RedisOptions | Redis;

/** A primary, and its replicas or the word that they are to be discovered. */
export interface PrimaryServers {
  /** Takes the writes. */
  readonly primary: Server;
  /**
   * Answer reads. Left out, they are learnt from the primary and followed as they come and go; with none in the list
   * everything works on the primary. If the primary is a proxy that spreads commands, none is learnt, and those given answer
   * only reads at level `"eventual"`.
   */
  readonly replicas?: readonly Server[];
  readonly sentinels?: never;
  readonly name?: never;
  readonly cluster?: never;
}

/** Sentinels, who name the primary and the replicas. */
export interface WatchedServers {
  /**
   * Sentinels to begin with; the others are learnt from these. Their own passwords and TLS are `sentinelUsername`,
   * `sentinelPassword` and `sentinelTLS` in `redis`.
   */
  readonly sentinels: readonly Server[];
  /** What the Sentinels call the primary. */
  readonly name: string;
  readonly primary?: never;
  readonly replicas?: never;
  readonly cluster?: never;
}

/** A Redis Cluster. */
export interface ClusterServers {
  /** Nodes to begin with; the others are learnt from these. */
  readonly cluster: readonly Server[];
  readonly primary?: never;
  readonly replicas?: never;
  readonly sentinels?: never;
  readonly name?: never;
}

type GivenServers = PrimaryServers | WatchedServers | ClusterServers;

/** Which servers were given, and how further ones are to be found. */
export type Servers =
  | { readonly kind: "static"; readonly primary: RedisOptions; readonly replicas: readonly RedisOptions[] }
  | { readonly kind: "discovered"; readonly primary: RedisOptions }
  | ({ readonly kind: "sentinel" } & SentinelServers)
  | { readonly kind: "cluster"; readonly seeds: readonly RedisOptions[]; readonly common: RedisOptions };

const sentinelPort = 26379;
/** Of ioredis. */
const defaultRetries = 20;
let defaultRetryStrategy: RedisOptions["retryStrategy"];

/** Throws an `InvalidOptionError` that names the first that cannot be used. */
export function checkServers(options: GivenServers, redis: RedisOptions): Servers {
  refuseCommonOptions(redis);
  const { primary, replicas, sentinels, name, cluster } = options;
  if (cluster !== undefined) return checkCluster(options, cluster, redis);
  if (sentinels !== undefined) return checkSentinels(options, sentinels, redis);
  if (name !== undefined) throw new InvalidOptionError("name", name, "give it with sentinels");
  const server = serverOptions("primary", primary, redis);
  if (replicas === undefined) return { kind: "discovered", primary: server };
  return { kind: "static", primary: server, replicas: serverList("replicas", replicas, redis) };
}

function checkSentinels(options: GivenServers, sentinels: unknown, redis: RedisOptions): Servers {
  refuse(options, ["primary", "replicas", "cluster"], "the Sentinels name the servers");
  const { name } = options;
  if (typeof name !== "string" || name === "")
    throw new InvalidOptionError("name", name, 'give what the Sentinels call the primary, like "orders"');
  const { sentinelUsername, sentinelPassword, sentinelTLS, connectTimeout, family } = redis;
  const { sentinelCommandTimeout } = redis;
  const common: RedisOptions = {
    ...(sentinelUsername ? { username: sentinelUsername } : {}),
    ...(sentinelPassword ? { password: sentinelPassword } : {}),
    ...(sentinelTLS ? { tls: sentinelTLS } : {}),
    ...{ port: sentinelPort, connectTimeout, family, sentinelCommandTimeout },
  };
  const list = serverList("sentinels", sentinels, common);
  if (list.length === 0) throw new InvalidOptionError("sentinels", sentinels, "give at least one");
  return { kind: "sentinel", sentinels: list, name, common: redis };
}

function checkCluster(options: GivenServers, cluster: unknown, redis: RedisOptions): Servers {
  refuse(options, ["primary", "replicas", "sentinels", "name"], "the cluster names the servers");
  const seeds = serverList("cluster", cluster, redis);
  if (seeds.length === 0) throw new InvalidOptionError("cluster", cluster, "give at least one node");
  if (redis.db)
    throw new InvalidOptionError("redis.db", redis.db, "leave it out: a cluster has one database");
  return { kind: "cluster", seeds, common: redis };
}

function refuse(options: GivenServers, names: readonly (keyof GivenServers)[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given !== undefined) throw new InvalidOptionError(given, options[given], `leave it out: ${why}`);
}

function serverList(option: string, servers: unknown, common: RedisOptions): RedisOptions[] {
  if (!Array.isArray(servers)) throw new InvalidOptionError(option, servers, "give a list of servers");
  return servers.map((server, index) => serverOptions(`${option}[${index}]`, server, common));
}

/** What plain clients made from the Tidemark's start from. */
export function clientOptions(servers: Servers): RedisOptions {
  if (servers.kind === "cluster") return servers.common;
  if (servers.kind !== "sentinel") return servers.primary;
  const { common, sentinels, name } = servers;
  const addresses = sentinels.map(({ host, port }) => ({ host, port }));
  const { username, password, tls } = sentinels[0] ?? {};
  return {
    ...common,
    sentinels: addresses,
    ...(username ? { sentinelUsername: username } : {}),
    ...(password ? { sentinelPassword: password } : {}),
    ...(tls ? { sentinelTLS: tls } : {}),
    // ioredis alone takes `tls` to be the Sentinels' affair only.
    ...(common.tls ? { enableTLSForSentinelMode: true } : {}),
    ...{ name, role: "master", failoverDetector: true },
  };
}

/** Whether it is an object with fields. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function serverOptions(option: string, server: unknown, common: RedisOptions): RedisOptions {
  if (typeof server === "string" && server !== "") return urlOptions(option, server, common);
  if (isRecord(server)) {
    // Not by its class, since it may come from another copy of ioredis.
    const isClient = "sendCommand" in server;
    const given = isClient && server.isCluster === false ? server.options : isClient ? undefined : server;
    if (isRecord(given)) {
      if (given.sentinels)
        throw new InvalidOptionError(option, server, "give { sentinels, name } instead of it");
      refuseOptions(option, given);
      return isClient ? withoutDefault({ ...common, ...given }, common) : { ...common, ...given };
    }
  }
  throw new InvalidOptionError(
    option,
    server,
    'give a URL like "redis://10.0.0.1:6379", ioredis options, or a client',
  );
}

/** ioredis alone knows how it reads a URL, so one of its clients, never connected, does it. */
function urlOptions(option: string, url: string, common: RedisOptions): RedisOptions {
  if (!/^(rediss?|unix):\/\/|^\//.test(url)) {
    throw new InvalidOptionError(
      option,
      url,
      'give a URL like "redis://10.0.0.1:6379" or "rediss://10.0.0.1:6379"',
    );
  }
  const lazily: RedisOptions = { ...common, lazyConnect: true };
  const { options } = new Redis(url, lazily as RedisOptions & { replyMapping?: "legacy" });
  refuseOptions(option, options);
  return withoutDefault({ ...options, lazyConnect: common.lazyConnect ?? false }, common);
}

/** A client's options hold ioredis's defaults too, and these mean something only where the user has given them. */
function withoutDefault(options: RedisOptions, common: RedisOptions): RedisOptions {
  const given = { ...options };
  if (given.maxRetriesPerRequest === defaultRetries) given.maxRetriesPerRequest = common.maxRetriesPerRequest;
  defaultRetryStrategy ??= new Redis({ lazyConnect: true }).options.retryStrategy;
  if (given.retryStrategy === defaultRetryStrategy) given.retryStrategy = common.retryStrategy;
  return given;
}
