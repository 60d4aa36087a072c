/** What a Tidemark is given, checked once, before anything runs. */
import type { RedisOptions } from "ioredis";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown, tidemarkOptions } from "../errors/option-names.js";
import type { OnLostWrite } from "../reads/lost-writes.js";
import type { Context } from "../session/context.js";
import type { Accept, ShardLimits } from "../shard/shard-options.js";
import { isRecord, notOptions } from "./given-server.js";
import { checkKeyOptions, type KeyOptions, type ResolvedKeyOptions } from "./key-options.js";
import { checkReadDefaults, type ReadDefaultOptions, type ResolvedReadOptions } from "./read-options.js";
import { isRedisOption } from "./redis-options.js";
import {
  type ClusterServers,
  checkServers,
  clientOptions,
  type PrimaryServers,
  type SentinelServers,
  type Servers,
} from "./server-options.js";

/** The options of {@link Tidemark}. */
export type TidemarkOptions = (PrimaryServers | SentinelServers | ClusterServers) & CommonOptions;

/** The options that do not say which servers there are; times are in milliseconds. */
export interface CommonOptions extends ReadDefaultOptions, KeyOptions {
  /**
   * ioredis options for every connection (password, TLS, db, keyPrefix). With `natMap`, the addresses that servers
   * announce are replaced by those they can be reached at.
   */
  readonly redis?: RedisOptions;
  /** A replica not proven to be fresher than this gets no read at any level. Default 10000. */
  readonly maxStalenessMs?: number;
  /**
   * A replica whose clock is certain to differ from the primary's by more gets no read at any level: keys expire by each
   * server's own clock. Default 1000.
   */
  readonly maxClockSkewMs?: number;
  /** How long a token is in force; must be larger than `maxStalenessMs`. Default 60000. */
  readonly tokenTtlMs?: number;
  /**
   * How long a replica's position is believed before it is asked again; only while it is in use. A fifth of it where the
   * server cannot report over RESP3 that it has loaded other data. Default 250.
   */
  readonly probeIntervalMs?: number;
  /**
   * How long a command waits for a primary that can take it before it is rejected with a `NoPrimaryError`, and after how
   * long without a byte a primary that leaves commands unanswered is disconnected. Where `redis` has
   * `maxRetriesPerRequest`, that limits the wait instead, as in ioredis, and null removes the limit. Default 5000.
   */
  readonly primaryTimeoutMs?: number;
  /**
   * `"when-needed"` trusts a replica's position for `probeIntervalMs`, or until the replica reports that it has loaded other
   * data. `"always"` proves it with each read in one transaction, at up to five times the server's work, which also
   * holds where the replica cannot report it (ioredis 5, RESP2). Default `"when-needed"`.
   */
  readonly verify?: "when-needed" | "always";
  /**
   * What becomes of a read whose session has lost acknowledged writes in a failover, beside the message on
   * `tidemark:lost-write`: `"error"` rejects the first one with a `LostWriteError`. Default `"report"`, nothing else.
   */
  readonly onLostWrite?: OnLostWrite;
  /**
   * The availability zone of this process: replicas in it answer when one of them may, unless they are far slower than
   * others. Valkey tells its own since 8.0 (`availability-zone`); default none.
   */
  readonly zone?: string;
  /** The zones of servers that do not tell them, by addresses as `topology()` shows them: `{ "10.0.0.2:6379": "a" }`. */
  readonly zones?: Readonly<Record<string, string>>;
  /** How much replicas get of the reads as against others, by their addresses; default 1 each, and 0 for nothing. */
  readonly weights?: Readonly<Record<string, number>>;
  /**
   * Called with the address of each server that another server announces, after `natMap`: discovered replicas, Sentinels and
   * servers that Sentinels name, nodes of a cluster, targets of `MOVED` and `ASK`. Return true to let Tidemark connect and
   * send the password. If `accept` returns anything else or throws, Tidemark does not connect, and warns. The servers
   * that you give yourself are not checked. Default: every server is accepted.
   */
  readonly accept?: Accept;
  /**
   * Of how many reads each session keeps a record in `session.reads`, the latest ones: 0 to 1000. A record says which server
   * answered, why, and how long the read waited. Default 0. The channel `tidemark:read` works without it.
   */
  readonly recordReads?: number;
  /** Finds the session of the current request. Default: Node's AsyncLocalStorage. */
  readonly context?: Context;
}

const defaults = {
  maxStalenessMs: 10_000,
  maxClockSkewMs: 1_000,
  tokenTtlMs: 60_000,
  probeIntervalMs: 250,
  primaryTimeoutMs: 5_000,
};

const maxRecordedReads = 1_000;

/** Options of the middleware, which are easily given to the Tidemark instead. */
const ofMiddleware = ["secret", "carrier", "level", "properties"];

const place = "give { primary: { host, port }, replicas: [{ host, port }] }";
const url = 'give { primary: "redis://10.0.0.1:6379", replicas: ["redis://10.0.0.2:6379"] }';
const roles = "give { primary, replicas }";

/** Options by which other libraries take servers. */
const ofServers: ReadonlyMap<string, string> = new Map([
  ...["host", "port", "path", "hostname"].map((name): [string, string] => [name, place]),
  ...["url", "uri", "urls"].map((name): [string, string] => [name, url]),
  ...["master", "slave", "slaves", "writer", "reader", "readers"].map((name): [string, string] => [
    name,
    roles,
  ]),
]);

/** The options with every default in its place and every server as ioredis options. */
export interface ResolvedOptions extends ShardLimits, ResolvedReadOptions, ResolvedKeyOptions {
  readonly servers: Servers;
  /** What the client says of itself, and plain clients made from it start from. */
  readonly redis: RedisOptions;
  readonly verify: "when-needed" | "always";
  readonly onLostWrite: OnLostWrite;
  readonly recordReads: number;
  readonly context: Context | undefined;
}

/** Throws an {@link InvalidOptionError} that names the first option that cannot be used. */
export function checkOptions(options: TidemarkOptions): ResolvedOptions {
  if (!isRecord(options)) throw new InvalidOptionError("options", options, "give { primary, replicas }");
  const mistaken = notOptions(options);
  if (mistaken !== undefined)
    throw new InvalidOptionError("new Tidemark", options, "give { primary: client }", mistaken);
  refuseUnknown("new Tidemark", options, tidemarkOptions, (name) => {
    const server = ofServers.get(name);
    if (server !== undefined) return server;
    if (ofMiddleware.includes(name))
      return `give it to readYourWrites: readYourWrites(tidemark, { ${name} })`;
    return isRedisOption(name) ? `give it in redis: { ${name} }` : undefined;
  });
  const { redis = {}, context } = options;
  if (!isRecord(redis)) throw new InvalidOptionError("redis", redis, "give ioredis options");
  const got = notOptions(redis);
  if (got !== undefined)
    throw new InvalidOptionError("redis", redis, "give ioredis options; a client goes to `primary`", got);
  const servers = checkServers(options, redis);
  const maxStalenessMs = time("maxStalenessMs", options.maxStalenessMs, 1);
  const tokenTtlMs = time("tokenTtlMs", options.tokenTtlMs, 1);
  if (tokenTtlMs <= maxStalenessMs) {
    const remedy = `give more than maxStalenessMs (${maxStalenessMs}), or a token could run out before its write has arrived`;
    throw new InvalidOptionError("tokenTtlMs", tokenTtlMs, remedy);
  }
  const shared = clientOptions(servers);
  return {
    servers,
    redis: shared,
    ...checkKeyOptions(options, shared.keyPrefix ?? ""),
    maxStalenessMs,
    maxClockSkewMs: time("maxClockSkewMs", options.maxClockSkewMs, 1),
    tokenTtlMs,
    probeIntervalMs: time("probeIntervalMs", options.probeIntervalMs, 1),
    primaryTimeoutMs: time("primaryTimeoutMs", options.primaryTimeoutMs, 1),
    ...checkReadDefaults(options),
    verify: oneOf("verify", options.verify, ["when-needed", "always"]),
    onLostWrite: oneOf("onLostWrite", options.onLostWrite, ["report", "error"]),
    zone: options.zone === undefined ? undefined : zoneIn("zone", options.zone),
    zones: byAddress("zones", options.zones, zoneIn),
    weights: byAddress("weights", options.weights, weightIn),
    accept: checkAccept(options.accept),
    recordReads: countOf(options.recordReads),
    context: checkContext(context),
  };
}

function time(option: keyof typeof defaults, value: unknown, least: number): number {
  const given = value ?? defaults[option];
  if (typeof given === "number" && Number.isFinite(given) && given >= least) return given;
  throw new InvalidOptionError(option, value, `give a number of milliseconds, at least ${least}`);
}

function countOf(reads: number | undefined = 0): number {
  if (Number.isInteger(reads) && reads >= 0 && reads <= maxRecordedReads) return reads;
  throw new InvalidOptionError(
    "recordReads",
    reads,
    `give how many reads each session keeps, a whole number from 0 to ${maxRecordedReads}`,
  );
}

function oneOf<T extends string>(option: string, value: unknown, choices: readonly [T, T]): T {
  if (value === undefined) return choices[0];
  const chosen = choices.find((choice) => choice === value);
  if (chosen !== undefined) return chosen;
  throw new InvalidOptionError(option, value, `give "${choices[0]}" or "${choices[1]}"`);
}

function byAddress<Value>(
  option: string,
  given: unknown,
  check: (option: string, value: unknown) => Value,
): Readonly<Record<string, Value>> {
  if (given === undefined) return {};
  if (!isRecord(given))
    throw new InvalidOptionError(option, given, 'give an object like { "10.0.0.2:6379": … }');
  const checked = Object.entries(given).map(([address, value]) => {
    if (!isAddress(address))
      throw new InvalidOptionError(option, given, likeTopology, "got a key that is no address");
    return [address, check(`${option}.${address}`, value)];
  });
  return Object.fromEntries(checked);
}

const likeTopology = 'give addresses as topology() shows them, like "10.0.0.2:6379"';

/** Of a host and port, or the path of a socket; a URL is none, and may have a password in it. */
function isAddress(text: string): boolean {
  return /^[^\s/@?#]+:\d{1,5}$/.test(text) || /^\/[^@?#]+$/.test(text);
}

function zoneIn(option: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new InvalidOptionError(option, value, 'give the name of a zone, like "eu-west-1a"');
}

function weightIn(option: string, value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidOptionError(option, value, "give a number, 0 for no reads at all");
}

function checkAccept(accept: Accept | undefined): Accept | undefined {
  if (accept === undefined || typeof accept === "function") return accept;
  throw new InvalidOptionError(
    "accept",
    accept,
    'give a function like (host, port) => host.endsWith(".internal")',
  );
}

function checkContext(context: Context | undefined): Context | undefined {
  if (context === undefined) return undefined;
  if (isRecord(context) && typeof context.get === "function" && typeof context.run === "function")
    return context;
  throw new InvalidOptionError("context", context, "give { get, run }");
}
