/** The keys that a command touches, compared with the server's own answer for every command. */
import { Command } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { declaredKeysOf, keysTouchedBy } from "../../src/commands/command-keys.js";
import { seeded } from "../support/load/seeded.js";
import { RedisServer } from "../support/servers/redis-server.js";

type Key = string | Buffer;

/** Commands whose only key is their first argument; the test adds as many arguments as they need. */
const firstOnly = words(`
  append bitcount bitfield bitfield_ro bitpos decr decrby delex delifeq digest dump expire expireat expiretime geoadd
  geodist geohash geopos georadius_ro georadiusbymember_ro geosearch get getbit getdel getex getrange getset hdel
  hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys hlen hmget hmset
  hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset hsetex hsetnx hstrlen httl hvals incr incrby
  incrbyfloat increx lindex linsert llen lpop lpos lpush lpushx lrange lrem lset ltrim move persist pexpire pexpireat
  pexpiretime pfadd psetex pttl restore rpop rpush rpushx sadd scard set setbit setex setnx setrange sismember smembers
  smismember spop srandmember srem sscan strlen substr ttl type xack xackdel xadd xautoclaim xcfgset xclaim xdel xdelex
  xlen xnack xpending xrange xrevrange xsetid xtrim zadd zcard zcount zincrby zlexcount zmscore zpopmax zpopmin
  zrandmember zrange zrangebylex zrangebyscore zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange
  zrevrangebylex zrevrangebyscore zrevrank zscan zscore`);

/** Commands with other keys or with options that decide on them, in every shape. */
const shapes = lines(`
  set k v|set k v get ex 10|bitfield k set u8 0 1|bitfield k get u8 0|geosearch k frommember m byradius 1 m
  zadd k nx 1 a 2 b|xadd k maxlen 5 * f v|hset k f v g w|restore k 0 x replace|xpending k g - + 10
  del a|del a b c|exists a b|mget a b|pfcount a b|pfmerge d a b|sdiff a b|sdiffstore d a b|sinter a b
  sinterstore d a|sunion a b|sunionstore d a b|touch a b|unlink a b|watch a b
  blmove a b left right 0|blmovem a b left right 0|brpoplpush a b 0|copy a b|copy a b db 1 replace
  geosearchstore d s frommember m byradius 1 m storedist|lcs a b|lcs a b idx minmatchlen 2|lmove a b left right
  lmovem a b left right count 2 obo|rename a b|renamenx a b|rpoplpush a b|smove a b m|zrangestore d s 0 -1
  zrangestore d s 0 1 byscore limit 0 1
  blpop a 0|blpop a b c 0|brpop a b 1|bzpopmax a b 1|bzpopmin a 1|bitop not d a|bitop and d a b c
  mset a 1|mset a 1 b 2|msetnx a 1 b 2|msetex 1 a 1|msetex 2 a 1 b 2 ex 10
  lmpop 1 a left|lmpop 2 a b right count 3|sintercard 1 a|sintercard 2 a b limit 5|sunioncard 2 a b approx
  sdiffcard 2 a b limit 1|zdiff 2 a b|zinter 2 a b weights 1 2 aggregate max withscores|zintercard 2 a b limit 1
  zmpop 2 a b min count 2|zunion 3 a b 2 withscores|blmpop 0 2 a b left|bzmpop 1 1 a max count 2
  zdiffstore d 2 a b|zinterstore d 2 a b weights 1 2|zunionstore d 1 a aggregate min
  georadius g 1 2 3 m|georadius g 1 2 3 m withdist count 1 any asc|georadius g 1 2 3 m store d
  georadius g 1 2 3 m count 2 desc storedist d|georadiusbymember g m 1 km|georadiusbymember g m 1 km asc store d
  georadiusbymember g store 1 km storedist store
  migrate h 1 k 0 5|migrate h 1 k 0 5 copy replace|migrate h 1 k 0 5 auth keys|migrate h 1 '' 0 5 keys a b
  migrate h 1 '' 0 5 copy auth2 keys keys replace keys a b c
  sort l|sort l limit 0 2 desc alpha|sort l store d|sort l by nosort get # store d|sort l by store store d
  sort l by nosort limit 1 2 asc|sort_ro l|sort_ro l by nosort get # desc
  xread streams s 0|xread count 1 block 5 streams s t 0 0|xread streams streams 0|xread streams count block 0 0
  xreadgroup group g c streams s >|xreadgroup group g c count 1 block 2 noack streams s t > >
  xreadgroup noack count 3 group g c streams s >
  memory usage k|memory usage k samples 5|object encoding k|object freq k|object idletime k|object refcount k
  xgroup create s g $ mkstream|xgroup createconsumer s g c|xgroup delconsumer s g c|xgroup destroy s g
  xgroup setid s g 0|xinfo consumers s g|xinfo groups s|xinfo stream s full count 1`);

/** Commands that neither show nor change what is stored. */
const noKeys = lines(`
  asking|auth x|client id|client kill id 1|command count|command getkeys get k|discard|echo k|hello 3|lastsave|lolwut
  multi|ping|ping k|psubscribe k|publish k v|pubsub numpat|punsubscribe k|quit|readonly|readwrite|role|spublish k v
  ssubscribe k|subscribe k|sunsubscribe k|time|unsubscribe k|unwatch|wait 1 0|waitaof 0 0 0`);

/** Commands that may touch any key, or show or change what is no key but matters for reads. */
const anyKey = words(`
  acl backup bgrewriteaof bgsave cluster config dbsize debug eval eval_ro evalsha evalsha_ro exec failover fcall
  fcall_ro flushall flushdb function hotkeys info keys latency module monitor pfdebug pfselftest psync randomkey
  replconf replicaof reset restore-asking save scan script select sentinel sflush shutdown slaveof slowlog swapdb sync
  trimslots commandlog clusterscan himport xidmprecord
  arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget armset arnext arop arring
  arscan arseek arset vadd vcard vdim vemb vgetattr vinfo vismember vlinks vrandmember vrange vrem vsetattr vsim`);

/** Shapes of otherwise known commands that touch keys which they do not name, or whose arguments are wrong. */
const unknownShapes = lines(`
  get|mget|del|blpop a|rename a|mset a|mset a 1 b|bitop and|msetex 2 a 1|msetex x a 1
  lmpop 4 a b left|lmpop 0 left|lmpop -1 a left|zunion 01 a|zunion +1 a|zunion 1x a|zunion 1.0 a|zinterstore d
  zinterstore d 2 a|zinterstore d x a|blmpop 0 left|sintercard 99999999999999999999 a
  georadius g 1 2 3|georadius g 1 2 3 m store|georadius g 1 2 3 m unheard store d|georadiusbymember g m 1
  sort l by w_*|sort l get o_*|sort l get o_*->f get #|sort l by w_*->f store d|sort l get #x|sort l by
  sort l unheard|sort_ro l by w_*|sort_ro l get o_*|sort_ro l store d
  xread streams s|xread streams s t 0|xread streams|xread unheard 1 streams s 0|xread count 1 s 0|xread group g
  migrate h 1 k 0|migrate h 1 k 0 5 keys a|migrate h 1 '' 0 5 keys|migrate h 1 k 0 5 unheard
  object k|object help|object encoding|memory stats|memory doctor|memory usage|xgroup help|xinfo help|xinfo stream
  ft.search i q|json.get k|ts.get k|unheard k|constructor k|__proto__ k|toString k`);

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}

/** One command a line or between bars; two quotes are an empty argument. */
function lines(text: string): string[][] {
  return text
    .trim()
    .split(/\||\n/)
    .map((line) => words(line).map((word) => (word === "''" ? "" : word)));
}

function command([name = "", ...args]: readonly Key[], keyPrefix?: string): Command {
  return new Command(String(name), [...args], keyPrefix === undefined ? {} : { keyPrefix });
}

function inHex(keys: readonly Key[] | undefined): string[] | undefined {
  return keys?.map((key) => Buffer.from(key).toString("hex")).sort();
}

let server: RedisServer;
/** The least number of words of each command that the server has, without subcommands. */
let arities: ReadonlyMap<string, number>;

beforeAll(async () => {
  server = await RedisServer.start();
  const known = (await server.admin().call("COMMAND")) as [name: string, arity: number][];
  arities = new Map(known.map(([name, arity]) => [name.toLowerCase(), Math.abs(arity)]));
});

afterAll(() => server.stop());

/** The answer of COMMAND GETKEYS: no keys for a command that has none, and undefined for one that it refuses. */
async function keysByServer(line: readonly Key[]): Promise<Buffer[] | undefined> {
  try {
    return (await server.admin().callBuffer("COMMAND", "GETKEYS", ...line)) as Buffer[];
  } catch (error) {
    return String(error).includes("no key arguments") ? [] : undefined;
  }
}

/**
 * Redis takes the first STREAMS and any STORE for the options, even where the name of a group or a number has to be, and
 * then reports keys that the command would not touch.
 */
function misleads(line: readonly Key[]): boolean {
  const [name = "", ...args] = line.map((word) => String(word).toLowerCase());
  if (name.startsWith("xread")) return args.filter((word) => word === "streams").length > 1;
  return name.startsWith("georadius") && /count,store/.test(args.join());
}

function isOfServer([name = ""]: readonly string[]): boolean {
  return arities.has(name);
}

function filled(name: string): string[] {
  return [name, "k", ...Array.from({ length: (arities.get(name) ?? 0) - 2 }, () => "x")];
}

describe("The keys that a command touches", () => {
  it("are known, or explicitly unknown, for every command of the server", () => {
    const listed = new Set([...firstOnly, ...anyKey, ...[...shapes, ...noKeys].map(([name]) => name)]);
    // Names with a dot are those of modules.
    const ofServer = [...arities.keys()].filter((name) => !name.includes("."));
    expect(ofServer.filter((name) => !listed.has(name))).toEqual([]);
  });

  it("are each in one list of this test only", () => {
    const names = (all: readonly string[][]) => new Set(all.map(([name = ""]) => name));
    const withShapes = names(shapes);
    const others = [...firstOnly.filter((name) => !withShapes.has(name)), ...withShapes, ...anyKey];
    expect([...others, ...names(noKeys)].length).toBe(new Set([...others, ...names(noKeys)]).size);
  });

  it("match the server's answer when the first argument is the only key", async () => {
    for (const line of firstOnly.filter((name) => arities.has(name)).map(filled)) {
      expect([line, await keysByServer(line)]).toEqual([line, [Buffer.from("k")]]);
    }
    for (const name of firstOnly)
      expect([name, keysTouchedBy(command([name, "k", "x"]))]).toEqual([name, ["k"]]);
  });

  it("match the server's answer in every shape", async () => {
    for (const line of shapes.filter(isOfServer)) {
      const expected = inHex(await keysByServer(line));
      expect([line, inHex(keysTouchedBy(command(line)))]).toEqual([line, expected]);
    }
    for (const line of shapes) expect([line, keysTouchedBy(command(line))?.length]).not.toEqual([line, 0]);
  });

  it("are listed for every subcommand of the server with keys", async () => {
    const containers = new Set(["memory", "object", "xgroup", "xinfo"]);
    const known = (await server.admin().call("COMMAND")) as unknown[][];
    const subcommands = known
      .filter(([name]) => containers.has(String(name)))
      .flatMap((row) => (Array.isArray(row[9]) ? row[9] : []) as [string, number, unknown, number][])
      .filter(([, , , firstKey]) => firstKey > 0)
      .map(([name]) => name.replace("|", " "));
    const tried = new Set(shapes.map(([name, subcommand]) => `${name} ${subcommand}`));
    expect(subcommands.filter((name) => !tried.has(name))).toEqual([]);
  });

  it("are none for commands that neither show nor change stored data", async () => {
    for (const line of noKeys) expect([line, keysTouchedBy(command(line))]).toEqual([line, []]);
    for (const line of noKeys.filter(isOfServer)) {
      expect([line, (await keysByServer(line)) ?? []]).toEqual([line, []]);
    }
  });

  it("are unknown for commands that may touch any key", () => {
    for (const name of anyKey) {
      for (const line of [[name], [name, "k"], [name, "help"], [name, "x", "1", "k"]]) {
        expect([line, keysTouchedBy(command(line))]).toEqual([line, undefined]);
      }
    }
  });

  it("are unknown for a command that reads unnamed keys or has invalid arguments", () => {
    for (const line of unknownShapes) {
      const [name = "", ...args] = line;
      expect([line, keysTouchedBy({ name, args })]).toEqual([line, undefined]);
    }
    expect(keysTouchedBy({ name: "get", args: [["k"]] })).toBeUndefined();
  });

  it("are the streams even when a group and its consumer have the name of an option", async () => {
    const redis = server.admin();
    await redis.call("XGROUP", "CREATE", "s", "streams", "$", "MKSTREAM");
    await redis.xadd("s", "1-1", "f", "v");
    const line = "xreadgroup noack count 3 group streams group streams s >";
    expect(JSON.stringify(await redis.call("XREADGROUP", words(line).slice(1)))).toContain('"s"');
    expect(keysTouchedBy(command(words(line)))).toEqual(["s"]);
  });

  it("include every key that the server reports for random arguments", async () => {
    const random = seeded(1);
    const pick = <T>(items: readonly [T, ...T[]]): T =>
      items[Math.floor(random() * items.length)] ?? items[0];
    const values: readonly [Key, ...Key[]] = [
      ...([
        "",
        "a",
        "b",
        "k:1",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "01",
        "2x",
        "$",
        ">",
        "*",
        "#",
        "nosort",
        "w_*",
      ] as const),
      ...[Buffer.from([0xff, 0x00, 0x80]), Buffer.from("b"), "ключ", "x".repeat(40)],
    ];
    const options: readonly [Key, ...Key[]] = [
      ...([
        "streams",
        "STREAMS",
        "group",
        "block",
        "count",
        "noack",
        "claim",
        "keys",
        "auth",
        "auth2",
      ] as const),
      ...[
        "copy",
        "replace",
        "store",
        "STOREDIST",
        "by",
        "get",
        "limit",
        "asc",
        "weights",
        "encoding",
        "usage",
      ],
      ...["create", "stream", Buffer.from("store"), Buffer.from("KEYS"), Buffer.from("streams")],
    ];
    const known = [...shapes, ...unknownShapes, ...noKeys, ...firstOnly.map(filled)].filter(isOfServer);
    const argument = () => pick(random() < 0.4 ? options : values);
    const trials = Array.from({ length: 20_000 }, () => {
      const line: Key[] = [...pick([["get", "k"], ...known])];
      for (let changes = Math.floor(random() * 4); changes > 0; changes -= 1) {
        const at = 1 + Math.floor(random() * line.length);
        line.splice(
          at,
          pick([0, 1, 1, 2]),
          ...pick([[], [argument()], [argument()], [argument(), argument()]]),
        );
      }
      return line;
    });
    const missing: unknown[] = [];
    let compared = 0;
    for (let i = 0; i < trials.length; i += 1000) {
      const some = trials.slice(i, i + 1000);
      const replies = await Promise.all(some.map(keysByServer));
      for (const [j, line] of some.entries()) {
        const ours = inHex(keysTouchedBy(command(line)));
        const theirs = inHex(replies[j] ?? []) ?? [];
        if (ours === undefined || misleads(line)) continue;
        if (theirs.length > 0) compared += 1;
        if (!theirs.every((key) => ours.includes(key))) missing.push({ line, ours, theirs });
      }
    }
    expect(missing).toEqual([]);
    expect(compared).toBeGreaterThan(1000);
  });
});

describe("The format of the keys", () => {
  it("matches the keys that ioredis sends", () => {
    const bytes = Buffer.from([0xff, 0xfe]);
    expect(keysTouchedBy(command(["get", bytes]))).toEqual([bytes]);
    expect(keysTouchedBy(new Command("get", [7]))).toEqual(["7"]);
    expect(keysTouchedBy({ name: "get", args: [7] })).toEqual(["7"]);
    expect(keysTouchedBy(new Command("mget", [["a", bytes], 1.5]))).toEqual(["a", bytes, "1.5"]);
    expect(keysTouchedBy(new Command("mset", [JSON.parse('{ "a": 1, "b": 2 }')]))).toEqual(["a", "b"]);
    expect(keysTouchedBy(new Command("zunion", [2, "a", "b"]))).toEqual(["a", "b"]);
  });

  it("does not depend on the case of names and options, or on options being Buffers", () => {
    expect(keysTouchedBy(command(["SET", "K", "v"]))).toEqual(["K"]);
    expect(keysTouchedBy(command(["XRead", "COUNT", "1", "Streams", "S", "0"]))).toEqual(["S"]);
    expect(keysTouchedBy(command(["OBJECT", "ENCODING", "k"]))).toEqual(["k"]);
    expect(keysTouchedBy(command(["sort", "l", Buffer.from("STORE"), "d"]))).toEqual(["l", "d"]);
    expect(keysTouchedBy(command(["sort", "l", Buffer.from("BY"), Buffer.from("w_*")]))).toBeUndefined();
    expect(keysTouchedBy(command(["lmpop", Buffer.from("1"), "a", "LEFT"]))).toEqual(["a"]);
  });

  it("includes the prefix, and covers each key that ioredis has prefixed", () => {
    expect(keysTouchedBy(command(["mget", "a", "b"], "p:"))).toEqual(["p:a", "p:b"]);
    for (const line of shapes) {
      // ioredis takes any argument of MIGRATE that is "keys" for the option.
      if (line.includes("auth") || line.includes("auth2")) continue;
      const { args } = command(line, "p:");
      const prefixed = args.filter((arg): arg is string => String(arg).startsWith("p:"));
      // A constant to sort by is prefixed like a key, and read by nobody.
      const keys = prefixed.filter((key) => key !== "p:nosort" && !(line[0] === "sort" && key === "p:store"));
      expect([line, keysTouchedBy(command(line, "p:"))]).toEqual([line, expect.arrayContaining(keys)]);
    }
  });
});

describe("The keys that a script declares", () => {
  it.each([
    ["eval script 2 a b arg", ["a", "b"]],
    ["EVALSHA sha 1 a", ["a"]],
    ["eval_ro script 1 a b", ["a"]],
    ["evalsha_ro sha 2 a b", ["a", "b"]],
    ["fcall f 1 a", ["a"]],
    ["FCALL_RO f 1 a x y", ["a"]],
    ["eval script 0", undefined],
    ["eval script 0 arg", undefined],
    ["eval script", undefined],
    ["eval script 2 a", undefined],
    ["eval script x a", undefined],
    ["eval script -1 a", undefined],
    ["get 1 1 a", undefined],
  ])("follow its key count: %s", async (line, expected) => {
    expect(declaredKeysOf(command(words(line)))).toEqual(expected);
    expect(keysTouchedBy(command(words(line)))).toEqual(line.startsWith("get") ? ["1"] : undefined);
    if (expected && isOfServer(words(line.toLowerCase()))) {
      expect(inHex(await keysByServer(words(line)))).toEqual(inHex(expected));
    }
  });
});
