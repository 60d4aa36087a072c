/**
 * Finds the keys that a command reads or writes. If a key were missed, reads could be stale. So in doubt, a command may touch
 * every key.
 */
import type { Command } from "ioredis";
import { isScript } from "./command-kind.js";

/** A key as it is sent to the server, with the key prefix. */
type Key = string | Buffer;
type Arguments = Command["args"];
/** Finds the keys in the arguments of one command. Undefined if the arguments do not fit the command. */
type Rule = (args: Arguments) => readonly Key[] | undefined;

const firstOnly = `
  append bitcount bitfield bitfield_ro bitpos decr decrby delex delifeq digest dump expire expireat expiretime geoadd
  geodist geohash geopos georadius_ro georadiusbymember_ro geosearch get getbit getdel getex getrange getset hdel
  hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys hlen hmget hmset
  hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset hsetex hsetnx hstrlen httl hvals incr incrby
  incrbyfloat increx lindex linsert llen lpop lpos lpush lpushx lrange lrem lset ltrim move persist pexpire pexpireat
  pexpiretime pfadd psetex pttl restore rpop rpush rpushx sadd scard set setbit setex setnx setrange sismember smembers
  smismember spop srandmember srem sscan strlen substr ttl type xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex
  xlen xnack xpending xrange xrevrange xsetid xtrim zadd zcard zcount zincrby zlexcount zmscore zpopmax zpopmin
  zrandmember zrange zrangebylex zrangebyscore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange
  zrevrangebylex zrevrangebyscore zrevrank zscan zscore`;

const firstTwo = `
  blmove blmovem brpoplpush copy geosearchstore lcs lmove lmovem rename renamenx rpoplpush smove zrangestore`;

const every = `
  del exists mget pfcount pfmerge sdiff sdiffstore sinter sinterstore sunion sunionstore touch unlink watch`;

/** Commands that neither show nor change stored data. EXEC is not among them, because it runs the commands queued before it. */
const none = `
  asking auth client command discard echo hello lastsave lolwut multi ping psubscribe publish pubsub punsubscribe quit
  readonly readwrite role spublish ssubscribe subscribe sunsubscribe time unsubscribe unwatch wait waitaof`;

const noKeys: readonly Key[] = [];

/** The number of operands of each option. */
type Operands = Readonly<Record<string, number>>;
const REST = Number.POSITIVE_INFINITY;
const streamOptions: Operands = {
  ...{ block: 1, claim: 1, count: 1, group: 2, maxcount: 1, maxsize: 1, noack: 0 },
  streams: REST,
};
const migrateOptions: Operands = { auth: 1, auth2: 2, copy: 0, keys: REST, replace: 0 };
const sortOptions: Operands = { alpha: 0, asc: 0, by: 1, desc: 0, get: 1, limit: 2 };
const radiusOptions: Operands = {
  ...{ any: 0, asc: 0, count: 1, desc: 0, withcoord: 0, withdist: 0, withhash: 0 },
  ...{ store: 1, storedist: 1 },
};

const rules: ReadonlyMap<string, Rule> = new Map([
  ...entries(firstOnly, firstKey),
  ...entries(firstTwo, (args) => keysIn(args, 0, 2)),
  ...entries(every, (args) => keysIn(args, 0, args.length)),
  ...entries(none, () => noKeys),
  ...entries("blpop brpop bzpopmax bzpopmin", (args) => keysIn(args, 0, args.length - 1)),
  ...entries("bitop", (args) => keysIn(args, 1, args.length)),
  ...entries("mset msetnx", (args) => pairedKeys(args, 0, args.length)),
  ...entries("msetex", (args) => pairedKeys(args, 1, 1 + 2 * countAt(args, 0))),
  ...entries("lmpop sdiffcard sintercard sunioncard zdiff zinter zintercard zmpop zunion", (args) =>
    countedKeys(args, 0),
  ),
  ...entries("blmpop bzmpop", (args) => countedKeys(args, 1)),
  ...entries("zdiffstore zinterstore zunionstore", (args) => joined(firstKey(args), countedKeys(args, 1))),
  ...entries("georadius", (args) => radiusKeys(args, 5)),
  ...entries("georadiusbymember", (args) => radiusKeys(args, 4)),
  ...entries("migrate", migratedKeys),
  ...entries("sort", (args) => sortKeys(args, { ...sortOptions, store: 1 })),
  ...entries("sort_ro", (args) => sortKeys(args, sortOptions)),
  ...entries("xread xreadgroup", streamKeys),
  ...entries("memory", (args) => keyOfSubcommand(args, "usage")),
  ...entries("object", (args) => keyOfSubcommand(args, "encoding freq idletime refcount")),
  ...entries("xgroup", (args) => keyOfSubcommand(args, "create createconsumer delconsumer destroy setid")),
  ...entries("xinfo", (args) => keyOfSubcommand(args, "consumers groups stream")),
]);

/**
 * The keys that `command` reads or writes, as strings or Buffers, exactly as sent to the server with the key prefix. A key may
 * occur more than once. Undefined if not all keys are known: the command may then touch any key.
 */
export function keysTouchedBy(command: Pick<Command, "name" | "args">): readonly Key[] | undefined {
  const { name, args } = command;
  const rule = rules.get(name) ?? rules.get(name.toLowerCase());
  return rule?.(args);
}

/**
 * The keys that a call of a script or function declares, as sent to the server. The script may touch other keys. Undefined if the
 * call declares no keys, or if their count is wrong or not a number. Also undefined for all other commands.
 */
export function declaredKeysOf(command: Pick<Command, "name" | "args">): readonly Key[] | undefined {
  return isScript(command.name) ? countedKeys(command.args, 1) : undefined;
}

function firstKey(args: Arguments): readonly Key[] | undefined {
  const key = keyOf(args[0]);
  return key === undefined ? undefined : [key];
}

/** The keys from `start` up to, but not including, `end`. Undefined if there are none or one is missing. */
function keysIn(args: Arguments, start: number, end: number, step = 1): readonly Key[] | undefined {
  if (start >= end || end > args.length) return undefined;
  const keys: Key[] = [];
  for (let i = start; i < end; i += step) {
    const key = keyOf(args[i]);
    if (key === undefined) return undefined;
    keys.push(key);
  }
  return keys;
}

function pairedKeys(args: Arguments, start: number, end: number): readonly Key[] | undefined {
  return (end - start) % 2 === 0 ? keysIn(args, start, end, 2) : undefined;
}

function countedKeys(args: Arguments, countIndex: number): readonly Key[] | undefined {
  return keysIn(args, countIndex + 1, countIndex + 1 + countAt(args, countIndex));
}

function keyOfSubcommand(args: Arguments, subcommands: string): readonly Key[] | undefined {
  return subcommands.split(" ").includes(wordOf(args[0])) ? keysIn(args, 1, 2) : undefined;
}

/** After STREAMS there are as many keys as stream ids. */
function streamKeys(args: Arguments): readonly Key[] | undefined {
  const start = optionsIn(args, 0, streamOptions)?.find(({ name }) => name === "streams")?.operand ?? 0;
  const count = (args.length - start) / 2;
  return start > 0 && Number.isInteger(count) ? keysIn(args, start, start + count) : undefined;
}

function radiusKeys(args: Arguments, optionsIndex: number): readonly Key[] | undefined {
  const stores = optionsIn(args, optionsIndex, radiusOptions)?.filter(({ name }) => name.startsWith("store"));
  return joined(firstKey(args), stores && keysAt(args, stores));
}

/**
 * SORT builds keys from the elements and the patterns after BY and GET, and reads them. It reads no such keys for `GET #`, or if
 * the word after BY has no `*`.
 */
function sortKeys(args: Arguments, operands: Operands): readonly Key[] | undefined {
  const options = optionsIn(args, 1, operands);
  const readsOthers = options?.some(
    ({ name, operand }) =>
      (name === "by" && keyOf(args[operand])?.includes("*") !== false) ||
      (name === "get" && wordOf(args[operand]) !== "#"),
  );
  const stores = readsOthers === false ? options?.filter(({ name }) => name === "store") : undefined;
  return joined(firstKey(args), stores && keysAt(args, stores));
}

function migratedKeys(args: Arguments): readonly Key[] | undefined {
  const options = optionsIn(args, 5, migrateOptions);
  const listed = options?.find(({ name }) => name === "keys");
  if (listed === undefined) return options && keysIn(args, 2, 3);
  return keyOf(args[2])?.length === 0 ? keysIn(args, listed.operand, args.length) : undefined;
}

interface Option {
  readonly name: string;
  /** The index of the option's first operand. */
  readonly operand: number;
}

/** The options from `start` on. Undefined if an option is unknown or lacks an operand, or if the arguments end too early. */
function optionsIn(args: Arguments, start: number, operands: Operands): readonly Option[] | undefined {
  if (args.length < start) return undefined;
  const options: Option[] = [];
  for (let i = start; i < args.length; ) {
    const name = wordOf(args[i]);
    const count = Object.hasOwn(operands, name) ? operands[name] : undefined;
    if (count === undefined || (count !== REST && i + count >= args.length)) return undefined;
    options.push({ name, operand: i + 1 });
    i += 1 + count;
  }
  return options;
}

function keysAt(args: Arguments, options: readonly Option[]): readonly Key[] | undefined {
  return joined(...options.map(({ operand }) => keysIn(args, operand, operand + 1)));
}

/** All parts as one list. Undefined if one of the parts is undefined. */
function joined(...parts: readonly (readonly Key[] | undefined)[]): readonly Key[] | undefined {
  const known = parts.filter((part) => part !== undefined);
  return known.length === parts.length ? known.flat() : undefined;
}

/**
 * The number of keys that the argument states, by Redis's strict rules for integers. 0 if the argument is not such an integer.
 */
function countAt(args: Arguments, index: number): number {
  const word = wordOf(args[index]);
  return /^[1-9]\d*$/.test(word) ? Number(word) : 0;
}

/** ioredis sends numbers as decimal text. */
function keyOf(arg: unknown): Key | undefined {
  if (typeof arg === "string" || Buffer.isBuffer(arg)) return arg;
  return typeof arg === "number" ? String(arg) : undefined;
}

/** A longer value is neither the name of an option nor a count of arguments. */
const LONGEST_WORD = 16;

function wordOf(arg: unknown): string {
  const text = keyOf(arg);
  return text === undefined || text.length > LONGEST_WORD ? "" : text.toString().toLowerCase();
}

function entries(names: string, rule: Rule): [string, Rule][] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, rule]);
}
