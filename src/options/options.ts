/** Defines the options of a Tidemark and checks them once, before anything runs. */
import type { RedisOptions } from "ioredis";
import type { Mode } from "../diagnostics/channels.js";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown, tidemarkOptions } from "../errors/option-names.js";
import type { OnLostWrite } from "../reads/lost-writes.js";
import type { StopRule } from "../rollout/automatic-stop.js";
import { checkMode, checkShare } from "../rollout/rollout.js";
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

/** The options that do not name servers. Times are in milliseconds. */
export interface CommonOptions extends ReadDefaultOptions, KeyOptions {
  /**
   * ioredis options for every connection (password, TLS, db, keyPrefix). `natMap` replaces the addresses that servers announce
   * with addresses that this process can reach.
   */
  readonly redis?: RedisOptions;
  /** A replica is never used if it is not proven to be fresher than this, whatever the level of the read. Default 10000. */
  readonly maxStalenessMs?: number;
  /**
   * A replica is never used if its clock certainly differs from the primary's by more than this, whatever the level of the read.
   * Each server expires keys by its own clock. Default 1000.
   */
  readonly maxClockSkewMs?: number;
  /** How long a token stays valid. Must be larger than `maxStalenessMs`. Default 60000. */
  readonly tokenTtlMs?: number;
  /**
   * How long Tidemark trusts a replica's position before it asks the replica again. Replicas are asked only while they are in
   * use. If the server cannot report over RESP3 that it has loaded other data, a fifth of this time applies. Default 250.
   */
  readonly probeIntervalMs?: number;
  /**
   * How long a command waits for a primary that can take it. After that the command rejects with a `NoPrimaryError`. The option
   * also limits how long a primary with unanswered commands may send nothing before Tidemark disconnects it. If `redis` has
   * `maxRetriesPerRequest`, that option limits the wait instead, as in ioredis, and null removes the limit. Default 5000.
   */
  readonly primaryTimeoutMs?: number;
  /**
   * `"when-needed"` trusts a replica's position for `probeIntervalMs`, or until the replica reports that it has loaded other
   * data. `"always"` proves the position with each read, in one transaction. This costs the server up to five times the work.
   * `"always"` is safe even if the replica cannot report that it has loaded other data (ioredis 5, RESP2). Default
   * `"when-needed"`.
   */
  readonly verify?: "when-needed" | "always";
  /**
   * The outcome of a read whose session has lost acknowledged writes in a failover. `"report"` only publishes a message on
   * `tidemark:lost-write`. `"error"` also rejects the first such read with a `LostWriteError`. Default `"report"`.
   */
  readonly onLostWrite?: OnLostWrite;
  /**
   * The availability zone of this process. Replicas in this zone answer if one of them is eligible, unless they are far slower
   * than other replicas. Valkey reports its own zone since 8.0 (`availability-zone`). Default: none.
   */
  readonly zone?: string;
  /** The zones of servers that do not report them, by addresses as `topology()` shows them: `{ "10.0.0.2:6379": "a" }`. */
  readonly zones?: Readonly<Record<string, string>>;
  /**
   * The share of reads for each replica, by address, relative to the other replicas. Default 1 each. With 0 a replica gets no
   * reads.
   */
  readonly weights?: Readonly<Record<string, number>>;
  /**
   * Called with the address of each server that another server announces, after `natMap`. Such servers are discovered replicas,
   * Sentinels and servers that Sentinels name, nodes of a cluster, and targets of `MOVED` and `ASK`. Return true to let Tidemark
   * connect and send the password. If `accept` returns anything else or throws, Tidemark does not connect, and warns. Servers
   * that you give yourself are not checked. Default: every server is accepted.
   */
  readonly accept?: Accept;
  /**
   * How many of its latest reads each session records in `session.reads`, from 0 to 1000. A record says which server answered,
   * why, and how long the read waited. Default 0. The channel `tidemark:read` works without this option.
   */
  readonly recordReads?: number;
  /** Finds the session of the current request. Default: Node's AsyncLocalStorage. */
  readonly context?: Context;
  /**
   * What Tidemark does with the commands of sessions. `"live"` lets replicas answer reads. With `"off"` and `"shadow"`, every command
   * goes to the primary. `"shadow"` also measures on a sample of the sessions what replicas would have answered. `tidemark.mode`
   * changes it at run time. Default `"live"`.
   */
  readonly mode?: Mode;
  /**
   * The share of the sessions that the mode `"shadow"` observes, from 0 to 1. Each observed write and some observed reads take one
   * more command. Default 0.01.
   */
  readonly shadowSample?: number;
  /**
   * The share of the users whose reads replicas may answer in the mode `"live"`, from 0 to 1. The commands of all other users go to
   * the primary. It depends on the user, so each user stays on one side, in every process. `tidemark.rollout` changes it at run
   * time. Default 1.
   */
  readonly rollout?: number;
  /**
   * A rule that ends a rollout by itself. While the mode is `"live"`, it is called every 5 seconds with the outcomes of about the
   * last minute in this process. If it returns true, or the reason as a text, the mode becomes `"off"` in this process, and a process
   * warning and `tidemark:mode` report it. If it throws, the mode becomes `"off"` too. Setting `tidemark.mode` to `"live"` goes on.
   * While the option is set, the duration of each command of a session is measured. Default: none.
   */
  readonly stopWhen?: StopRule;
}

const defaults = {
  maxStalenessMs: 10_000,
  maxClockSkewMs: 1_000,
  tokenTtlMs: 60_000,
  probeIntervalMs: 250,
  primaryTimeoutMs: 5_000,
};

const maxRecordedReads = 1_000;

/** Options of the middleware, which users may pass to the Tidemark by mistake. */
const ofMiddleware = ["secret", "carrier", "level", "properties"];

const place = "Pass { primary: { host, port }, replicas: [{ host, port }] }";
const url = 'Pass { primary: "redis://10.0.0.1:6379", replicas: ["redis://10.0.0.2:6379"] }';
const roles = "Pass { primary, replicas }";

/** Options that name servers in other libraries, and what to give instead. */
const ofServers: ReadonlyMap<string, string> = new Map([
  ...["host", "port", "path", "hostname"].map((name): [string, string] => [name, place]),
  ...["url", "uri", "urls"].map((name): [string, string] => [name, url]),
  ...["master", "slave", "slaves", "writer", "reader", "readers"].map((name): [string, string] => [
    name,
    roles,
  ]),
]);

/** The options with all defaults filled in and with every server as ioredis options. */
export interface ResolvedOptions extends ShardLimits, ResolvedReadOptions, ResolvedKeyOptions {
  readonly servers: Servers;
  /** The options of `tidemark.redis` itself, and the starting point for plain clients made from it. */
  readonly redis: RedisOptions;
  readonly verify: "when-needed" | "always";
  readonly onLostWrite: OnLostWrite;
  readonly recordReads: number;
  readonly context: Context | undefined;
  readonly mode: Mode;
  readonly shadowSample: number;
  readonly rollout: number;
  readonly stopWhen: StopRule | undefined;
}

/** Throws an {@link InvalidOptionError} that names the first option that cannot be used. */
export function checkOptions(options: TidemarkOptions): ResolvedOptions {
  if (!isRecord(options)) throw new InvalidOptionError("options", options, "Pass { primary, replicas }");
  const mistaken = notOptions(options);
  if (mistaken !== undefined)
    throw new InvalidOptionError("new Tidemark", options, "Pass { primary: client }", mistaken);
  refuseUnknown("new Tidemark", options, tidemarkOptions, (name) => {
    const server = ofServers.get(name);
    if (server !== undefined) return server;
    if (ofMiddleware.includes(name))
      return `Pass it to readYourWrites: readYourWrites(tidemark, { ${name} })`;
    return isRedisOption(name) ? `Pass it in redis: { ${name} }` : undefined;
  });
  const { redis = {}, context } = options;
  if (!isRecord(redis)) throw new InvalidOptionError("redis", redis, "Pass ioredis options");
  const got = notOptions(redis);
  if (got !== undefined)
    throw new InvalidOptionError("redis", redis, "Pass ioredis options here, and a client as `primary`", got);
  const servers = checkServers(options, redis);
  const maxStalenessMs = time("maxStalenessMs", options.maxStalenessMs, 1);
  const tokenTtlMs = time("tokenTtlMs", options.tokenTtlMs, 1);
  if (tokenTtlMs <= maxStalenessMs) {
    const remedy = `Pass more than maxStalenessMs (${maxStalenessMs}), or a token can expire before its write reaches a replica`;
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
    mode: checkMode(options.mode ?? "live"),
    shadowSample: sampleIn(options.shadowSample),
    rollout: checkShare(options.rollout ?? 1),
    stopWhen: checkRule(options.stopWhen),
  };
}

function time(option: keyof typeof defaults, value: unknown, least: number): number {
  const given = value ?? defaults[option];
  if (typeof given === "number" && Number.isFinite(given) && given >= least) return given;
  throw new InvalidOptionError(option, value, `Pass a number of milliseconds, at least ${least}`);
}

function countOf(reads: number | undefined = 0): number {
  if (Number.isInteger(reads) && reads >= 0 && reads <= maxRecordedReads) return reads;
  throw new InvalidOptionError(
    "recordReads",
    reads,
    `Pass how many reads each session keeps, a whole number from 0 to ${maxRecordedReads}`,
  );
}

function oneOf<T extends string>(option: string, value: unknown, choices: readonly [T, T]): T {
  if (value === undefined) return choices[0];
  const chosen = choices.find((choice) => choice === value);
  if (chosen !== undefined) return chosen;
  throw new InvalidOptionError(option, value, `Pass "${choices[0]}" or "${choices[1]}"`);
}

function byAddress<Value>(
  option: string,
  given: unknown,
  check: (option: string, value: unknown) => Value,
): Readonly<Record<string, Value>> {
  if (given === undefined) return {};
  if (!isRecord(given))
    throw new InvalidOptionError(option, given, 'Pass an object like { "10.0.0.2:6379": … }');
  const checked = Object.entries(given).map(([address, value]) => {
    if (!isAddress(address))
      throw new InvalidOptionError(
        option,
        given,
        likeTopology,
        "got a key that is not a server address (not shown, because it may be a secret)",
      );
    return [address, check(`${option}.${address}`, value)];
  });
  return Object.fromEntries(checked);
}

const likeTopology = 'Write addresses as topology() shows them, like "10.0.0.2:6379"';

/** Whether `text` is a host and port, or the path of a socket. URLs are refused, because they may contain a password. */
function isAddress(text: string): boolean {
  return /^[^\s/@?#]+:\d{1,5}$/.test(text) || /^\/[^@?#]+$/.test(text);
}

function zoneIn(option: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new InvalidOptionError(option, value, 'Pass the name of a zone, like "eu-west-1a"');
}

function weightIn(option: string, value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidOptionError(option, value, "Pass a number, or 0 for no reads at all");
}

function checkAccept(accept: Accept | undefined): Accept | undefined {
  if (accept === undefined || typeof accept === "function") return accept;
  throw new InvalidOptionError(
    "accept",
    accept,
    'Pass a function like (host, port) => host.endsWith(".internal")',
  );
}

function sampleIn(share: number | undefined = 0.01): number {
  if (typeof share === "number" && share >= 0 && share <= 1) return share;
  throw new InvalidOptionError(
    "shadowSample",
    share,
    "Pass a share of the sessions from 0 to 1, like 0.01 for 1 %",
  );
}

function checkRule(rule: StopRule | undefined): StopRule | undefined {
  if (rule === undefined || typeof rule === "function") return rule;
  throw new InvalidOptionError("stopWhen", rule, "Pass a function like ({ live }) => live.errorRate > 0.01");
}

function checkContext(context: Context | undefined): Context | undefined {
  if (context === undefined) return undefined;
  if (isRecord(context) && typeof context.get === "function" && typeof context.run === "function")
    return context;
  throw new InvalidOptionError("context", context, "Pass an object with the methods get and run");
}
