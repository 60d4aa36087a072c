/** What a command is for routing: which may a replica answer, which write, which must not share a connection. */
import type { Command } from "ioredis";
import { RefusedCommandError } from "../errors/errors.js";

/**
 * - `"read"`: changes nothing and any node with the data answers alike.
 * - `"scan"`: one step of an iteration, whose cursor means nothing but where it came from.
 * - `"lookup"`: changes nothing that is replicated, but only the primary's answer is right.
 * - `"write"`: everything else; a command nobody has heard of counts as a write.
 * - `"blocking"`: may wait for other clients, and meanwhile holds up all that comes behind it on its connection.
 * - `"transactional"`: changes what later commands on its connection do, until EXEC, DISCARD or UNWATCH.
 * - `"refused"`: would change the connection that all share, for good.
 */
export type CommandKind = "read" | "scan" | "lookup" | "write" | "blocking" | "transactional" | "refused";

/**
 * Flagged `readonly` by Redis, less what a replica cannot answer alike: cursors (SCAN and kin belong to a node), what
 * describes a node (DBSIZE, OBJECT, MEMORY, RANDOMKEY), and TOUCH. GETEX, GETDEL, SORT, BITFIELD and GEORADIUS look
 * like reads, but Redis refuses them on replicas; their `_RO` forms are here.
 */
const reads = `
  bitcount bitfield_ro bitpos dump eval_ro evalsha_ro exists expiretime fcall_ro geodist geohash geopos georadius_ro
  georadiusbymember_ro geosearch get getbit getrange hexists hexpiretime hget hgetall hkeys hlen hmget hpexpiretime
  hpttl hrandfield hstrlen httl hvals keys lcs lindex llen lpos lrange mget pexpiretime pfcount pttl scard sdiff sinter
  sintercard sismember smembers smismember sort_ro srandmember strlen substr sunion ttl type xlen xpending xrange
  xread xrevrange zcard zcount zdiff zinter zintercard zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore
  zrank zrevrange zrevrangebylex zrevrangebyscore zrevrank zscore zunion`;

const scans = "hscan scan sscan zscan";

const lookups = `
  command dbsize echo info lastsave lolwut memory object ping pubsub randomkey role time touch xinfo`;

/**
 * Flagged `write` by Redis, so that a replica refuses them whatever they would do. Scripts, PUBLISH and the commands of
 * administrators are missing, because a replica carries these out too, and so are those of modules, of which nothing is known.
 */
const writes = `
  append bitfield bitop copy decr decrby del delex expire expireat flushall flushdb geoadd georadius georadiusbymember
  geosearchstore getdel getex getset hdel hexpire hexpireat hgetdel hgetex hincrby hincrbyfloat hmset hpersist hpexpire
  hpexpireat hset hsetex hsetnx incr incrby incrbyfloat linsert lmove lmpop lpop lpush lpushx lrem lset ltrim migrate
  move mset msetex msetnx persist pexpire pexpireat pfadd pfmerge psetex rename renamenx restore rpop rpoplpush rpush
  rpushx sadd sdiffstore set setbit setex setnx setrange sinterstore smove sort spop srem sunionstore swapdb unlink
  xack xackdel xadd xautoclaim xclaim xdel xdelex xreadgroup xsetid xtrim zadd zdiffstore zincrby zinterstore zmpop
  zpopmax zpopmin zrangestore zrem zremrangebylex zremrangebyrank zremrangebyscore zunionstore`;

const blocking = "blmove blmovem blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin";
const transactional = "discard exec multi unwatch watch";

const ownConnection = "use a connection of its own: tidemark.redis.duplicate()";
const remedies: ReadonlyMap<string, string> = new Map([
  ...entries("auth client hello select", `give it as an option in \`redis\`, or ${ownConnection}`),
  ...entries("asking himport psync readonly readwrite replconf reset sync", ownConnection),
  ...entries("psubscribe punsubscribe ssubscribe subscribe sunsubscribe unsubscribe", ownConnection),
  ...entries("wait waitaof", `it speaks of the writes of its own connection; ${ownConnection}`),
  ...entries("monitor", "call tidemark.redis.monitor(), which opens one of its own"),
  ...entries("quit", "call tidemark.close() when the app ends"),
]);

const primaryOnly: ReadonlySet<string> = new Set(`${writes} ${blocking}`.trim().split(/\s+/));

const kinds: ReadonlyMap<string, CommandKind> = new Map<string, CommandKind>([
  ...entries<CommandKind>(reads, "read"),
  ...entries<CommandKind>(scans, "scan"),
  ...entries<CommandKind>(lookups, "lookup"),
  ...entries<CommandKind>(blocking, "blocking"),
  ...entries<CommandKind>(transactional, "transactional"),
  ...[...remedies.keys()].map((name): [string, CommandKind] => [name, "refused"]),
]);

/** Of commands that do both, the subcommands that only look. */
const looking: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries({
    acl: "cat dryrun genpass getuser help list log users whoami",
    client: "getname getredir help id info list trackinginfo",
    cluster:
      "countkeysinslot getkeysinslot help info keyslot links myid myshardid nodes replicas shards slots",
    config: "get help",
    function: "dump help list stats",
    latency: "doctor graph help histogram history latest",
    module: "help list",
    script: "exists help",
    slowlog: "get help len",
  }).map(([name, subcommands]) => [name, new Set(subcommands.split(" "))]),
);
/** What CLIENT does to others than the connection it is sent on. */
const clientWrites = new Set(["kill", "pause", "unblock", "unpause"]);

/** What `command` is, whatever the case of its name; inside a batch MULTI and EXEC only frame what is between. */
export function kindOf(
  command: Pick<Command, "name" | "args" | "isReadOnly">,
  inBatch: boolean,
): CommandKind {
  const { args } = command;
  const known = kinds.get(command.name);
  if (known === "read" && command.name !== "xread") return known;
  const name = command.name.toLowerCase();
  if (looking.get(name)?.has(wordOf(args[0])) || (name === "hello" && args.length === 0)) return "lookup";
  if (name === "client" && clientWrites.has(wordOf(args[0]))) return "write";
  if ((name === "xread" || name === "xreadgroup") && blocks(args)) return "blocking";
  if (inBatch && (name === "multi" || name === "exec" || name === "discard")) return "lookup";
  // A script of defineCommand({ readOnly: true }).
  if (command.isReadOnly === true && (name === "evalsha" || name === "eval")) return "read";
  return kinds.get(name) ?? "write";
}

/** Whether a server that has carried out the command `name` was a primary then: a replica would have refused it. */
export function provesPrimary(name: string): boolean {
  return primaryOnly.has(name.toLowerCase());
}

const scripts = new Set(["eval", "evalsha", "fcall", "eval_ro", "evalsha_ro", "fcall_ro"]);

/** Whether the command `name` runs a script, which may return an error of any text. */
export function isScript(name: string): boolean {
  return scripts.has(name.toLowerCase());
}

/** Why a command is refused, and the right way to do what it would do to a shared connection. */
export function refusalError({ name }: Pick<Command, "name">): RefusedCommandError {
  return new RefusedCommandError(name, remedyFor(name));
}

/**
 * Why a transaction by hand cannot begin or go on with a command, if so: outside of any session there is nobody to keep
 * it, and where data is spread over shards a MULTI does not say which it is for.
 */
export function transactionError(
  { name }: Pick<Command, "name">,
  inSession: boolean,
  isSpread: boolean,
): RefusedCommandError | undefined {
  if (inSession && !(isSpread && name.toLowerCase() === "multi")) return undefined;
  const where = inSession
    ? "WATCH a key of the shard first"
    : "call it in a session (tidemark.run, req.redis)";
  const remedy = `${where}, use redis.multi() with its pipeline, or ${remedyFor(name)}`;
  return new RefusedCommandError(name, remedy);
}

/** The right way to do what `name` would do to a shared connection. */
export function remedyFor(name: string): string {
  return remedies.get(name.toLowerCase()) ?? ownConnection;
}

function blocks(args: readonly unknown[]): boolean {
  // The names of a group and its consumer may be any words.
  const first = wordOf(args[0]) === "group" ? 3 : 0;
  for (const arg of args.slice(first)) {
    const word = wordOf(arg);
    if (word === "block") return true;
    if (word === "streams") return false;
  }
  return false;
}

function wordOf(arg: unknown): string {
  return String(arg).toLowerCase();
}

function entries<T>(names: string, value: T): [string, T][] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, value]);
}

/** The keys that commands name, each once. */
export function keyNames(commands: readonly Command[]): readonly string[] {
  return [
    ...new Set(commands.flatMap((command) => (keyCount(command) > 0 ? command.getKeys().map(String) : []))),
  ];
}

/** Where commands that say how many keys follow have that number. */
const countAt: ReadonlyMap<string, number> = new Map([
  ...entries("lmpop msetex sdiffcard sintercard sunioncard zdiff zinter zintercard zmpop zunion", 0),
  ...entries("blmpop bzmpop eval eval_ro evalsha evalsha_ro fcall fcall_ro", 1),
  ...entries("zdiffstore zinterstore zunionstore", 1),
]);

/** How many keys a command names; none when its arguments are not what it needs, which the server will say. */
export function keyCount(command: Command): number {
  const at = countAt.get(command.name.toLowerCase());
  // ioredis would make a list of that length, however long it is.
  if (at !== undefined && Number(command.args[at]) > command.args.length) return 0;
  try {
    return command.getKeys().length;
  } catch {
    return 0;
  }
}

/** What errors call a command: those of Redis in capitals, and a method such as `ready()` as it is written. */
export function titleOf(command: string): string {
  return command.endsWith("()") ? command : command.toUpperCase();
}
