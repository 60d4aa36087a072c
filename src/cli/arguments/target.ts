/** Reads which servers the user means: the URLs, and the options about the connection. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError } from "commander";
import type { NatMap, RedisOptions } from "ioredis";
import { endpointOf } from "../../address.js";
import { TidemarkError } from "../../errors/errors.js";
import { namedIn } from "../../options/given-server.js";
import type { InspectionTarget } from "../inspection/deployment.js";
import { UsageError, withoutPassword } from "./usage-error.js";

/** The values of the options that {@link addTargetOptions} adds. */
export interface TargetOptions {
  readonly sentinel?: string;
  readonly cluster?: boolean;
  readonly username?: string;
  readonly askPassword?: boolean;
  readonly tls?: boolean;
  readonly tlsCa?: string;
  readonly natMap?: NatMap;
}

const sentinelPort = 26379;

/** Adds the options that say which servers are meant and how to connect to them. */
export function addTargetOptions(command: Command): Command {
  return command
    .option("--sentinel <name>", "the URLs are Sentinels, and <name> is their name for the primary")
    .option("--cluster", "the URLs are nodes of a Redis Cluster")
    .option("--user, --username <name>", "the user for every server (default: the one in the URL)")
    .option(
      "--askpass, --ask-password",
      "ask for the password in the terminal. The variable REDISCLI_AUTH works too",
    )
    .option("--tls", "use TLS for every server, as rediss:// does for one")
    .option("--cacert, --tls-ca <file>", "trust the certificate authority in this file (PEM). Implies --tls")
    .option(
      "--nat-map <from=to,…>",
      "reach announced servers elsewhere: 172.18.0.3:6379=10.0.0.3:6379",
      natMapIn,
    );
}

/** The servers that `urls` name. `password` is used for each server whose URL has none. Throws a {@link UsageError}. */
export function targetOf(
  urls: readonly string[],
  options: TargetOptions,
  password: string | undefined,
): InspectionTarget {
  const { sentinel, cluster, natMap } = options;
  if (sentinel !== undefined && cluster)
    throw new UsageError("--sentinel and --cluster exclude each other. Pass one of them.");
  const named = urls.map(serverIn);
  const common = commonOf(options, password);
  if (sentinel !== undefined) {
    const ca = tlsOf(options);
    const servers = named.map((server) => ({
      port: sentinelPort,
      ...server,
      ...(server.tls !== undefined && typeof ca === "object" ? { tls: ca } : {}),
    }));
    return { kind: "sentinel", name: sentinel, servers, redis: { ...common, ...(natMap && { natMap }) } };
  }
  // Replicas inherit from the primary, which comes first. The nodes of a cluster inherit from each other.
  const first: RedisOptions = cluster ? Object.assign({}, ...named.toReversed()) : (named[0] ?? {});
  const { host: _host, port: _port, path: _path, db: _db, family: _family, ...shared } = first;
  const inherited: RedisOptions = {
    ...common,
    ...shared,
    ...(typeof common.tls === "object" && { tls: common.tls }),
  };
  const servers = named.map((server) => over(inherited, server));
  return {
    kind: cluster ? "cluster" : "servers",
    servers,
    redis: { ...inherited, ...(natMap && { natMap }) },
  };
}

function serverIn(url: string): RedisOptions {
  const shown = withoutPassword(url);
  const scheme = /^([a-z]*):?\/\/|^\//i.exec(url);
  if (scheme === null) throw new UsageError(`"${shown}" is not a URL. Pass "redis://${shown}".`);
  if (!/^(rediss?|unix)?$/.test(scheme[1] ?? ""))
    throw new UsageError(
      `"${shown}" is not the URL of a Redis server. Pass a URL like "redis://10.0.0.1:6379".`,
    );
  try {
    return namedIn(`"${shown}"`, url);
  } catch (error) {
    throw error instanceof TidemarkError ? new UsageError(error.message) : error;
  }
}

function commonOf(options: TargetOptions, password: string | undefined): RedisOptions {
  const tls = tlsOf(options);
  return {
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
}

function tlsOf({ tls, tlsCa }: TargetOptions): RedisOptions["tls"] {
  if (tlsCa === undefined) return tls ? {} : undefined;
  try {
    return { ca: readFileSync(tlsCa) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--tls-ca ${tlsCa}: ${why}. Pass a readable file with a certificate (PEM).`);
  }
}

/** `server` completed with `common`. A user name and a password belong together. */
function over(common: RedisOptions, server: RedisOptions): RedisOptions {
  const { username, password, ...rest } = common;
  const hasOwn = server.username !== undefined || server.password !== undefined;
  const login = hasOwn ? {} : { ...(username && { username }), ...(password && { password }) };
  const tls = typeof rest.tls === "object" ? { tls: rest.tls } : {};
  return { ...rest, ...login, ...server, ...tls };
}

function natMapIn(text: string, earlier: NatMap | undefined): NatMap {
  const map: Record<string, { host: string; port: number }> =
    typeof earlier === "object" ? { ...earlier } : {};
  for (const pair of text.split(",")) {
    const [, from, host, port] = /^([^=\s]+:\d+)=(.+):(\d+)$/.exec(pair.trim()) ?? [];
    const to = endpointOf(host, port);
    if (from === undefined || to === undefined)
      throw new InvalidArgumentError(
        "Pass pairs like 172.18.0.3:6379=10.0.0.3:6379, with commas between them.",
      );
    map[from] = to;
  }
  return map;
}
