/** What a command is for routing: which may a replica answer, which write, which must not share a connection. */
import type { Command } from "ioredis";

/**
 * - `"read"`: changes nothing and any node with the data answers alike.
 * - `"lookup"`: changes nothing that is replicated, but only the primary's answer, or one and the same node's, is right.
 * - `"write"`: everything else; a command nobody has heard of counts as a write.
 * - `"refused"`: would change or block the connection that all share.
 */
export type CommandKind = "read" | "lookup" | "write" | "refused";

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

const lookups = `
  command dbsize echo hscan info lastsave lolwut memory object ping pubsub randomkey role scan sscan time touch xinfo
  zscan`;

const blocking =
  "blmove blmovem blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin wait waitaof xread xreadgroup";
const stateful = "asking auth client hello psync readonly readwrite replconf reset select sync";
const subscribing = "psubscribe punsubscribe ssubscribe subscribe sunsubscribe unsubscribe";
const transactional = "discard exec multi unwatch watch";

const ownConnection = "use a connection of its own: tidemark.redis.duplicate()";
const remedies: ReadonlyMap<string, string> = new Map([
  ...entries(blocking, ownConnection),
  ...entries(stateful, `give it as an option in \`redis\`, or ${ownConnection}`),
  ...entries(subscribing, ownConnection),
  ...entries(transactional, `use redis.multi() with its pipeline, or ${ownConnection}`),
  ...entries("monitor", ownConnection),
  ...entries("quit", "call tidemark.close() when the app ends"),
]);

const kinds: ReadonlyMap<string, CommandKind> = new Map<string, CommandKind>([
  ...entries<CommandKind>(reads, "read"),
  ...entries<CommandKind>(lookups, "lookup"),
]);

/** Subcommands that leave the shared connection as it was. */
const harmlessClient = new Set(["getname", "getredir", "id", "info", "list", "trackinginfo"]);

/** What `command` is. Case does not matter; inside a batch MULTI and EXEC are part of it, not a change of state. */
export function kindOf(command: Pick<Command, "name" | "args">, inBatch: boolean): CommandKind {
  const known = kinds.get(command.name);
  if (known === "read" && command.name !== "xread") return known;
  const name = command.name.toLowerCase();
  if (refusal(name, command.args, inBatch) !== undefined) return "refused";
  if (name === "client") return "lookup";
  return kinds.get(name) ?? "write";
}

/** The right way to do what `name` would do to a shared connection; undefined for commands that do no harm. */
export function refusal(name: string, args: readonly unknown[], inBatch: boolean): string | undefined {
  const remedy = remedies.get(name);
  if (remedy === undefined) return undefined;
  if ((name === "multi" || name === "exec" || name === "discard") && inBatch) return undefined;
  if ((name === "xread" || name === "xreadgroup") && !blocks(args)) return undefined;
  if (name === "client" && harmlessClient.has(String(args[0]).toLowerCase())) return undefined;
  return remedy;
}

function blocks(args: readonly unknown[]): boolean {
  // The names of a group and its consumer may be any words.
  const first = String(args[0]).toLowerCase() === "group" ? 3 : 0;
  for (const arg of args.slice(first)) {
    const word = String(arg).toLowerCase();
    if (word === "block") return true;
    if (word === "streams") return false;
  }
  return false;
}

function entries<T>(names: string, value: T): [string, T][] {
  return names
    .trim()
    .split(/\s+/)
    .map((name) => [name, value]);
}
