/** Defines and checks the options that name the servers of a Tidemark or say where to find them. */
import type { Redis, RedisOptions } from "ioredis";
import { addressOf } from "../address.js";
import { InvalidOptionError } from "../errors/errors.js";
import type { SentinelSetup } from "../topology/sentinel.js";
import { commonIn, namedIn } from "./given-server.js";

/**
 * A server: a URL (`redis://host:port/db`, `rediss://…`), ioredis options, or an ioredis client. Tidemark uses only the options
 * of a client. Anything else throws an `InvalidOptionError`, for example a mock or a cluster client.
 */
export type Server = string | RedisOptions | Redis;

/** A primary, with a list of its replicas or without one to discover them. */
export interface PrimaryServers {
  /** The server that takes the writes. */
  readonly primary: Server;
  /**
   * The servers that answer reads. If you omit the list, Tidemark asks the primary for its replicas and follows them as they come
   * and go. With an empty list the primary does everything. A replica inherits each option that it does not name from the
   * primary, such as the database, the password and TLS, but never the address. Another database or key prefix throws an
   * `InvalidOptionError`, and so does the address of the primary. If the primary is a proxy that spreads commands, Tidemark
   * discovers no replicas. Replicas in your list then answer only reads at level `"eventual"`.
   */
  readonly replicas?: readonly Server[];
  readonly sentinels?: never;
  readonly name?: never;
  readonly cluster?: never;
}

/** Sentinels, which name the primary and the replicas. */
export interface SentinelServers {
  /**
   * The Sentinels to begin with. Tidemark learns the others from these. Set the Sentinels' own passwords and TLS in `redis`, as
   * `sentinelUsername`, `sentinelPassword` and `sentinelTLS`.
   */
  readonly sentinels: readonly Server[];
  /** The name that the Sentinels have for the primary. */
  readonly name: string;
  readonly primary?: never;
  readonly replicas?: never;
  readonly cluster?: never;
}

/** A Redis Cluster. */
export interface ClusterServers {
  /** The nodes to begin with. Tidemark learns the others from these. */
  readonly cluster: readonly Server[];
  readonly primary?: never;
  readonly replicas?: never;
  readonly sentinels?: never;
  readonly name?: never;
}

type GivenServers = PrimaryServers | SentinelServers | ClusterServers;

/** The given servers, and how to find further ones. */
export type Servers =
  | { readonly kind: "static"; readonly primary: RedisOptions; readonly replicas: readonly RedisOptions[] }
  | { readonly kind: "discovered"; readonly primary: RedisOptions }
  | ({ readonly kind: "sentinel" } & SentinelSetup)
  | { readonly kind: "cluster"; readonly seeds: readonly RedisOptions[]; readonly common: RedisOptions };

const sentinelPort = 26379;

/** Options that say where one server is. A server that inherits options from another server does not inherit these. */
const ofPlace = ["host", "port", "path", "family", "Connector"] as const;

/**
 * Options that must be the same on all servers, with their defaults. If they differed, a read could miss writes, or return its
 * value in another form.
 */
const shared = { db: 0, keyPrefix: "", stringNumbers: false, replyMapping: "legacy" } as const;

/** Throws an `InvalidOptionError` that names the first option that cannot be used. */
export function checkServers(options: GivenServers, redis: RedisOptions): Servers {
  const common = commonIn(redis);
  const { primary, replicas, sentinels, name, cluster } = options;
  if (cluster !== undefined) return checkCluster(options, cluster, common);
  if (sentinels !== undefined) return checkSentinels(options, sentinels, common);
  if (name !== undefined) throw new InvalidOptionError("name", name, "Pass it together with `sentinels`");
  const named = namedIn("primary", primary);
  for (const option of sharedNames) agree("primary", named, option, common[option], "`redis`");
  const server = over(common, named);
  if (replicas === undefined) return { kind: "discovered", primary: server };
  const followers = serverList("replicas", replicas).map((replica, index) => {
    for (const option of sharedNames)
      agree(`replicas[${index}]`, replica, option, server[option] ?? shared[option], "the primary");
    const follower = followerOf(server, replica, common);
    if (isSamePlace(follower, server))
      throw new InvalidOptionError(
        `replicas[${index}]`,
        replica,
        replicaRemedy,
        "this is the address of the primary",
      );
    return follower;
  });
  return { kind: "static", primary: server, replicas: followers };
}

const replicaRemedy =
  "Pass the address of a replica, or remove it, because Tidemark reads from the primary anyway";

/** Whether two servers have the same address. False for servers that a Connector finds, because their addresses are unknown. */
function isSamePlace(one: RedisOptions, other: RedisOptions): boolean {
  if (one.Connector !== undefined || other.Connector !== undefined) return false;
  return addressOf(one).toLowerCase() === addressOf(other).toLowerCase();
}

const sharedNames = ["db", "keyPrefix", "stringNumbers", "replyMapping"] as const;

/** Throws if `server` names another value of the option than `wanted`. */
function agree(
  option: string,
  server: RedisOptions,
  name: keyof RedisOptions,
  wanted: unknown,
  whose: string,
): void {
  const got = server[name];
  if (got === undefined || wanted === undefined || got === wanted) return;
  const problem =
    name === "db" ? `got ${got}, but ${whose} has ${wanted}` : `it differs from that of ${whose}`;
  const remedy = `All servers must have the same ${name}, so set it once, in \`redis\``;
  throw new InvalidOptionError(`${option}.${name}`, got, remedy, problem);
}

/**
 * All options of a server that inherits from `leader`: those that the server names itself, and otherwise those of `leader`. The
 * place of `leader` is not inherited.
 */
function followerOf(leader: RedisOptions, named: RedisOptions, common: RedisOptions): RedisOptions {
  const follower = { ...leader };
  for (const name of ofPlace) Object.assign(follower, { [name]: common[name] });
  // A user name and a password belong together.
  if (named.username !== undefined || named.password !== undefined)
    Object.assign(follower, { username: common.username, password: common.password });
  return over(follower, named);
}

/** `options`, with the values in `named` taking precedence. */
function over(options: RedisOptions, named: RedisOptions): RedisOptions {
  // A rediss:// URL turns TLS on but names no TLS options. The server then uses those of `options`.
  const isPlain = Object.is(named.tls, true) && options.tls !== undefined;
  return { ...options, ...named, ...(isPlain ? { tls: options.tls } : {}) };
}

function checkSentinels(options: GivenServers, sentinels: unknown, redis: RedisOptions): Servers {
  refuse(options, ["primary", "replicas", "cluster"], "the Sentinels name the servers");
  const { name } = options;
  if (typeof name !== "string" || name === "")
    throw new InvalidOptionError(
      "name",
      name,
      'Pass the name that the Sentinels use for the primary, like "orders"',
    );
  const { sentinelUsername, sentinelPassword, sentinelTLS, connectTimeout, family } = redis;
  const { sentinelCommandTimeout } = redis;
  const common: RedisOptions = {
    ...(sentinelUsername ? { username: sentinelUsername } : {}),
    ...(sentinelPassword ? { password: sentinelPassword } : {}),
    ...(sentinelTLS ? { tls: sentinelTLS } : {}),
    ...{ port: sentinelPort, connectTimeout, family, sentinelCommandTimeout },
  };
  const list = serverList("sentinels", sentinels);
  if (list.length === 0) throw new InvalidOptionError("sentinels", sentinels, "Pass at least one Sentinel");
  for (const [index, sentinel] of list.entries()) {
    for (const option of ["db", "keyPrefix"] as const) {
      if (!sentinel[option]) continue;
      const remedy = `Pass it in redis: { ${option} }, because a Sentinel holds no data`;
      throw new InvalidOptionError(`sentinels[${index}].${option}`, sentinel[option], remedy);
    }
  }
  return { kind: "sentinel", sentinels: siblings(list, common), name, common: redis };
}

function checkCluster(options: GivenServers, cluster: unknown, redis: RedisOptions): Servers {
  refuse(options, ["primary", "replicas", "sentinels", "name"], "the cluster names the servers");
  const list = serverList("cluster", cluster);
  if (list.length === 0) throw new InvalidOptionError("cluster", cluster, "Pass at least one node");
  if (redis.db)
    throw new InvalidOptionError("redis.db", redis.db, "Remove it, because a cluster has only database 0");
  const common = { ...firstNamed(list), ...redis };
  for (const [index, node] of list.entries()) {
    if (node.db)
      throw new InvalidOptionError(
        `cluster[${index}].db`,
        node.db,
        "Remove it, because a cluster has only database 0",
      );
    // Tidemark connects to all other nodes with the options that these nodes share.
    for (const option of [...sharedNames, "username", "password"] as const)
      agree(`cluster[${index}]`, node, option, common[option], "another node or of `redis`");
  }
  return { kind: "cluster", seeds: list.map((node) => followerOf(common, node, common)), common };
}

/**
 * Completes the options of servers in a list. Each server keeps the options that it names. It takes every other option from
 * `common`, or else from the first server in the list that names it.
 */
function siblings(list: readonly RedisOptions[], common: RedisOptions): RedisOptions[] {
  const leader = { ...firstNamed(list), ...common };
  return list.map((server) => followerOf(leader, server, common));
}

/** The options that any of the servers names, without a place. If several name an option, the first one counts. */
function firstNamed(list: readonly RedisOptions[]): RedisOptions {
  const named: RedisOptions = Object.assign({}, ...list.toReversed());
  for (const name of ofPlace) delete named[name];
  return named;
}

function refuse(options: GivenServers, names: readonly (keyof GivenServers)[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given !== undefined) throw new InvalidOptionError(given, options[given], `Remove it, because ${why}`);
}

/** The options that each server names. */
function serverList(option: string, servers: unknown): RedisOptions[] {
  if (!Array.isArray(servers)) throw new InvalidOptionError(option, servers, "Pass an array of servers");
  return servers.map((server, index) => namedIn(`${option}[${index}]`, server));
}

/** The options that plain clients of a Tidemark start from. */
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
    // Without this, ioredis uses `tls` only for the Sentinels.
    ...(common.tls ? { enableTLSForSentinelMode: true } : {}),
    ...{ name, role: "master", failoverDetector: true },
  };
}
