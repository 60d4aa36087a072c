/** Classifies commands for routing: which ones a replica may answer, which ones write, and which must not share a connection. */
import type { Command } from "ioredis";
import { RefusedCommandError } from "../errors/errors.js";

/**
 * - `"read"`: changes nothing, and every node with the data gives the same answer.
 * - `"scan"`: one step of an iteration. Its cursor is valid only on the node that it came from.
 * - `"lookup"`: changes no replicated data, but only the primary's answer is correct.
 * - `"write"`: everything else. An unknown command counts as a write.
 * - `"blocking"`: may wait for other clients. Meanwhile it delays every later command on its connection.
 * - `"transactional"`: changes the effect of later commands on its connection, until EXEC, DISCARD or UNWATCH.
 * - `"refused"`: would permanently change the connection that all requests share.
 */
export type CommandKind = "read" | "scan" | "lookup" | "write" | "blocking" | "transactional" | "refused";

/**
 * Commands that Redis flags `readonly`, except those that a replica answers differently. Left out are cursors (SCAN and the like
 * belong to one node), commands that describe a node (DBSIZE, OBJECT, MEMORY, RANDOMKEY), and TOUCH. GETEX, GETDEL, SORT,
 * BITFIELD and GEORADIUS look like reads, but replicas refuse them. Their `_RO` forms are in the list.
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
 * Commands that Redis flags `write`. A replica refuses them whatever their arguments are. Scripts, PUBLISH and administration
 * commands are left out, because a replica runs them too. Commands of modules are left out, because nothing is known of them.
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

const dedicated = "a dedicated connection: tidemark.redis.duplicate()";
const ownConnection = `Use ${dedicated}`;
const remedies: ReadonlyMap<string, string> = new Map([
  ...entries("auth client hello select", `Set the matching option in \`redis\`, or use ${dedicated}`),
  ...entries("asking himport psync readonly readwrite replconf reset sync", ownConnection),
  ...entries("psubscribe punsubscribe ssubscribe subscribe sunsubscribe unsubscribe", ownConnection),
  ...entries("wait waitaof", `It covers only the writes of its own connection. ${ownConnection}`),
  ...entries("monitor", "Call tidemark.redis.monitor(), which opens its own connection"),
  ...entries("quit", "Call tidemark.close() when the app ends"),
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

/** For each command that has reading and writing subcommands: the subcommands that only read. */
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
/** The CLIENT subcommands that affect other connections than their own. */
const clientWrites = new Set(["kill", "pause", "unblock", "unpause"]);

/** Classifies `command`, whatever the case of its name. Inside a batch, MULTI, EXEC and DISCARD only frame other commands. */
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

/** Whether every replica refuses the command `name`. A server that has run such a command was a primary at that time. */
export function provesPrimary(name: string): boolean {
  return primaryOnly.has(name.toLowerCase());
}

const scripts = new Set(["eval", "evalsha", "fcall", "eval_ro", "evalsha_ro", "fcall_ro"]);

/** Whether the command `name` runs a script. A script may return an error with any text. */
export function isScript(name: string): boolean {
  return scripts.has(name.toLowerCase());
}

/** The error for a refused command, which names the right way to get the same effect. */
export function refusalError({ name }: Pick<Command, "name">): RefusedCommandError {
  return new RefusedCommandError(name, remedyFor(name));
}

/**
 * The error for a command that cannot begin or continue a manual transaction. Its text names the right way. Undefined if the
 * command can. Outside of a session nobody keeps the transaction's connection. In a cluster a MULTI does not say which shard it
 * is for.
 */
export function transactionError(
  { name }: Pick<Command, "name">,
  inSession: boolean,
  isSpread: boolean,
): RefusedCommandError | undefined {
  if (inSession && !(isSpread && name.toLowerCase() === "multi")) return undefined;
  const where = inSession
    ? "WATCH a key of the shard first"
    : "Call it in a session (tidemark.run, req.redis)";
  const remedy = `${where}, use redis.multi() with its pipeline, or use ${dedicated}`;
  return new RefusedCommandError(name, remedy);
}

/** The right way to get the effect that `name` would have on a shared connection. */
export function remedyFor(name: string): string {
  return remedies.get(name.toLowerCase()) ?? ownConnection;
}

function blocks(args: readonly unknown[]): boolean {
  // After GROUP come the names of a group and its consumer. A name may be any word, even BLOCK.
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

/** The keys that the commands name, each once. */
export function keyNames(commands: readonly Command[]): readonly string[] {
  return [
    ...new Set(commands.flatMap((command) => (keyCount(command) > 0 ? command.getKeys().map(String) : []))),
  ];
}

/** The index of the argument that states the number of keys, for commands that have one. */
const countAt: ReadonlyMap<string, number> = new Map([
  ...entries("lmpop msetex sdiffcard sintercard sunioncard zdiff zinter zintercard zmpop zunion", 0),
  ...entries("blmpop bzmpop eval eval_ro evalsha evalsha_ro fcall fcall_ro", 1),
  ...entries("zdiffstore zinterstore zunionstore", 1),
]);

/** The number of keys that `command` names. 0 if its arguments do not fit the command: the server then answers with an error. */
export function keyCount(command: Command): number {
  const at = countAt.get(command.name.toLowerCase());
  // `getKeys` would create a list as long as the stated number of keys, however great this number is.
  if (at !== undefined && Number(command.args[at]) > command.args.length) return 0;
  try {
    return command.getKeys().length;
  } catch {
    return 0;
  }
}

/** The name of a command in errors. Redis commands are in capitals, and a method such as `ready()` is as written. */
export function titleOf(command: string): string {
  return command.endsWith("()") ? command : command.toUpperCase();
}
