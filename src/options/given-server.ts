/** Reads one server as the app gives it, as a URL, an object or a client, and returns the options that it names. */
import { isIPv6 } from "node:net";
import { Redis, type RedisOptions } from "ioredis";
import { InvalidOptionError } from "../errors/errors.js";
import { kindOf } from "../errors/value-kind.js";
import { ioredisDefaults, isRedisOption, refuseCommonOptions, refuseOptions } from "./redis-options.js";

type Fields = Readonly<Record<string, unknown>>;

/** The problem with a value that is not a server, and what to give instead. */
type Fault = readonly [problem: string, remedy: string];

const likeThis = 'Pass a URL like "redis://10.0.0.1:6379", ioredis options, or an ioredis client';
const encoded =
  "Percent-encode special characters in the user name and password (encodeURIComponent), and write the database as a number";
const soleAddress = 'Pass the address of the Redis server itself, like "redis://10.0.0.1:6379"';

/** Whether `value` is an object with fields. */
export function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The options that `server` names, without ioredis's defaults. Throws an {@link InvalidOptionError} if `server` is not a server
 * or names an option that cannot be used.
 */
export function namedIn(option: string, server: unknown): RedisOptions {
  const named = fieldsIn(option, server);
  refuseOptions(option, named);
  return checkPlace(option, named);
}

/** Checks options for all servers in the same way as {@link namedIn} checks those of one server. */
export function commonIn(redis: RedisOptions): RedisOptions {
  refuseCommonOptions(redis);
  const { tls, ...named } = given({ ...redis });
  return checkPlace("redis", tls === undefined ? named : { ...named, tls });
}

/**
 * Converts ports and database numbers from text to numbers. Throws if the host, path or number is not valid. Addresses are shown
 * to people, so they must not contain secrets.
 */
function checkPlace(option: string, options: RedisOptions): RedisOptions {
  const host: unknown = options.host;
  const path: unknown = options.path;
  const isHost =
    typeof host === "string" && /^[^\s/@?#'"\\,]+$/.test(host) && (isIPv6(host) || !/:/.test(host));
  if (host !== undefined && !isHost)
    throw new InvalidOptionError(
      `${option}.host`,
      host,
      'Pass a host like "10.0.0.1", and the port as `port`',
    );
  if (path !== undefined && !(typeof path === "string" && /^[^?#@]+$/.test(path)))
    throw new InvalidOptionError(`${option}.path`, path, 'Pass the path of a socket, like "/run/redis.sock"');
  return {
    ...options,
    ...numberIn(option, "port", options, 65_535),
    ...numberIn(option, "db", options, Number.MAX_SAFE_INTEGER),
  };
}

function numberIn(option: string, name: "port" | "db", options: RedisOptions, most: number): RedisOptions {
  const given: unknown = options[name];
  if (given === undefined) return {};
  const number = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
  if (typeof number === "number" && Number.isInteger(number) && number >= 0 && number <= most)
    return { [name]: number };
  throw new InvalidOptionError(`${option}.${name}`, given, `Pass a whole number from 0 to ${most}`);
}

function fieldsIn(option: string, server: unknown): RedisOptions {
  if (typeof server === "string") return urlFields(option, server);
  if (!isRecord(server)) throw new InvalidOptionError(option, server, likeThis);
  const fault = faultOf(server);
  if (fault !== undefined) {
    const [problem, remedy] = fault;
    throw new InvalidOptionError(option, server, remedy, problem);
  }
  const fields = isClient(server) ? clientFields(server) : given(server);
  if (fields.sentinels)
    throw new InvalidOptionError(option, server, "Pass { sentinels, name } to new Tidemark instead");
  return fields;
}

/** The problem, if a client or something else was given in the place of options. Undefined if `value` may be options. */
export function notOptions(value: Fields): string | undefined {
  if (isClient(value)) return "got a client";
  return faultOf(value)?.[0];
}

/**
 * Whether `server` is an ioredis client that makes connections. Its class proves nothing, because another copy of ioredis may
 * have made it.
 */
function isClient(server: Fields): boolean {
  const { isCluster, sendCommand, connector, options } = server;
  const connects = isRecord(connector) && typeof connector.connect === "function";
  return isCluster === false && typeof sendCommand === "function" && connects && isRecord(options);
}

/** Methods of clients. No ioredis option has one of these names. */
const methods = ["sendCommand", "connect", "disconnect", "duplicate", "call", "get", "on"];

/** Why `server` is neither ioredis options nor a client that can stand for a server. Undefined if it is one of them. */
function faultOf(server: Fields): Fault | undefined {
  if ("boundSession" in server || "followsPrimary" in server)
    return ["got a client that a Tidemark made", soleAddress];
  if (isClient(server)) return undefined;
  if (server.isCluster === true)
    return ["got a cluster client", "Pass { cluster: […] } with the URLs of some of its nodes"];
  if ("session" in server && "run" in server) return ["got a Tidemark", soleAddress];
  if ("isOpen" in server && "isReady" in server) return ["got a node-redis client", soleAddress];
  const kind = kindOf(server);
  if (kind !== "an object") return [`got ${kind}`, likeThis];
  if (methods.some((name) => typeof server[name] === "function"))
    return [
      "got a client that makes no connections, such as a mock",
      "Pass the URL of a real Redis server, because Tidemark makes its own connections",
    ];
  return undefined;
}

/** A client's options also contain ioredis's defaults, which the app did not choose. */
function clientFields(client: Fields): RedisOptions {
  const options = isRecord(client.options) ? client.options : {};
  const defaults = defaultsOf(client);
  const { host, port } = options;
  const named = Object.entries(options).filter(([name, value]) => value !== defaults[name]);
  return given({ host, port, ...Object.fromEntries(named) });
}

/** The defaults of the client's own copy of ioredis. */
function defaultsOf({ constructor: Client }: Fields): Fields {
  const own: unknown = typeof Client === "function" ? Reflect.get(Client, "defaultOptions") : undefined;
  return isRecord(own) ? own : ioredisDefaults();
}

/** Options for which null means more than leaving the option out. */
const nullable = [
  "maxRetriesPerRequest",
  "retryStrategy",
  "sentinelRetryStrategy",
  "sentinelReconnectStrategy",
];

/**
 * Drops options without a value, because they name nothing. The exception is `tls`: undefined means that this server has no TLS.
 */
function given(fields: Fields): RedisOptions {
  const isNamed = ([name, value]: [string, unknown]): boolean =>
    value === undefined ? name === "tls" : value !== null || nullable.includes(name);
  return Object.fromEntries(Object.entries(fields).filter(isNamed));
}

/**
 * Placeholders for the parts that a URL does not name. Without them, ioredis would fill in its defaults. Tidemark could not tell
 * such a default from the same value in the URL.
 */
const unnamed = { host: "", port: -1, db: -1 };

/** Only ioredis knows how it parses a URL, so an ioredis client that never connects does the parsing. */
function urlFields(option: string, url: string): RedisOptions {
  if (!/^(rediss?|unix):\/\/|^\//.test(url))
    throw new InvalidOptionError(
      option,
      url,
      'Pass a URL like "redis://10.0.0.1:6379" or "rediss://10.0.0.1:6379"',
    );
  refusePlaces(option, url);
  if (!isReadable(url)) throw new InvalidOptionError(option, url, encoded, "got a URL that cannot be parsed");
  refuseContradictions(option, url);
  const { options } = new Redis(url.replace(/^unix:\/\//, ""), { ...unnamed, lazyConnect: true });
  const defaults: Fields = { ...ioredisDefaults(), ...unnamed, lazyConnect: options.lazyConnect };
  const named = Object.entries(options).filter(([name, value]) => value !== "" && value !== defaults[name]);
  return given(Object.fromEntries(named));
}

/** Throws if a URL contains several servers or a port that is too large. */
function refusePlaces(option: string, url: string): void {
  const [, place = "", rest = ""] = /^(?:rediss?:)?\/\/(?:[^/?#]*@)?([^/?#@]*)([^@]*)$/.exec(url) ?? [];
  if (/,/.test(place) || /,rediss?:\/\//.test(rest))
    throw new InvalidOptionError(
      option,
      url,
      'Pass one URL for each server: { primary: "redis://a:6379", replicas: ["redis://b:6379"] }',
      "got several servers in one URL",
    );
  if (Number(/:(\d+)$/.exec(place)?.[1] ?? 0) > 65_535)
    throw new InvalidOptionError(
      option,
      url,
      "Pass a port from 0 to 65535",
      "got a URL whose port is too large",
    );
}

/** Throws if the query names another place than the URL itself, or a second user or password. */
function refuseContradictions(option: string, url: string): void {
  const { protocol, hostname, port, pathname, username, password, searchParams } = parse(url);
  const refuse = (problem: string): never => {
    throw new InvalidOptionError(option, url, "Keep only one of them", `got a URL with ${problem}`);
  };
  const differs = (name: string, own: string): boolean =>
    own !== "" && searchParams.has(name) && searchParams.get(name) !== own;
  const isSocket = protocol === "unix:";
  const database = isSocket ? "" : pathname.replaceAll("/", "");
  if (searchParams.get("sentinels"))
    throw new InvalidOptionError(
      option,
      url,
      "Pass { sentinels, name } to new Tidemark instead",
      "got a URL that names Sentinels",
    );
  if (differs("host", hostname.replace(/^\[|\]$/g, ""))) refuse("two hosts");
  if (differs("port", port)) refuse("two ports");
  if (database !== "" && searchParams.has("db") && Number(database) !== Number(searchParams.get("db")))
    refuse("two databases");
  if (isSocket ? differs("path", pathname) : hostname !== "" && searchParams.get("path"))
    refuse(isSocket ? "two paths" : "a host and a path");
  if (isSocket && (searchParams.get("host") || searchParams.get("port"))) refuse("a host and a path");
  if (username !== "" && searchParams.has("username")) refuse("two user names");
  if (password !== "" && searchParams.has("password")) refuse("two passwords");
}

/** Throws if `url` is not a URL. */
function parse(url: string): URL {
  if (url.startsWith("//")) return new URL(`redis:${url}`);
  return new URL(url.startsWith("/") ? `unix://${url}` : url);
}

/** Whether no part of a password can be mistaken for a host, a database or an option. */
function isReadable(url: string): boolean {
  if (url.startsWith("unix:")) return /^unix:\/\/\/[^/]/.test(url);
  if (/^\/[^/]/.test(url)) return true;
  try {
    const parsed = parse(url);
    const { hash, pathname, search, searchParams } = parsed;
    decodeURIComponent(parsed.username + parsed.password);
    const isSpilled = search.includes("@") && ![...searchParams.keys()].every(isRedisOption);
    return hash === "" && /^\/?(\d+\/?)?$/.test(pathname) && !isSpilled;
  } catch {
    return false;
  }
}
