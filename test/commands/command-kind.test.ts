/** Commands that a replica may answer, commands that write, and commands that must not share a connection. */
import { Command } from "ioredis";
import { describe, expect, it } from "vitest";
import {
  type CommandKind,
  keyCount,
  kindOf,
  provesPrimary,
  remedyFor,
} from "../../src/commands/command-kind.js";

function kind(line: string, inBatch = false): CommandKind {
  const [name = "", ...args] = line.split(" ");
  return kindOf({ name, args }, inBatch);
}

describe("kindOf a read", () => {
  it.each([
    ...["get k", "mget a b", "exists k", "strlen k", "getrange k 0 1", "getbit k 0", "bitcount k", "lcs a b"],
    ...["hget h f", "hgetall h", "hmget h f g", "hkeys h", "hlen h", "hexists h f", "hrandfield h", "httl h"],
    ...["lrange l 0 -1", "llen l", "lindex l 0", "lpos l x", "smembers s", "sismember s x", "scard s"],
    ...["sinter a b", "srandmember s", "zrange z 0 -1", "zscore z x", "zcard z", "zrangebyscore z 0 1"],
    ...["xrange x - +", "xlen x", "xpending x g", "geosearch g frommember x", "geopos g x", "pfcount p"],
    ...["ttl k", "pttl k", "expiretime k", "type k", "keys *", "dump k"],
  ])("is `read` for commands that change nothing and have the same reply on every server: %s", (line) => {
    expect(kind(line)).toBe("read");
  });

  it.each([
    ...["sort_ro l", "bitfield_ro k get u8 0", "georadius_ro g 0 0 1 m", "georadiusbymember_ro g x 1 m"],
    ...["eval_ro return 0", "evalsha_ro abc 0", "fcall_ro f 0"],
  ])("is `read` for the form that Redis allows on replicas: %s", (line) => {
    expect(kind(line)).toBe("read");
  });

  it("is `read` for XREAD without BLOCK, even for a stream of that name", () => {
    expect(kind("xread streams s 0")).toBe("read");
    expect(kind("xread count 10 streams block 0")).toBe("read");
    expect(kind("XREAD COUNT 10 STREAMS BLOCK 0")).toBe("read");
  });
});

describe("kindOf an iteration step", () => {
  it.each(["scan 0", "hscan h 0", "sscan s 0", "zscan z 0", "SCAN 17"])("is `scan`: %s", (line) => {
    expect([kind(line), kind(line, true)]).toEqual(["scan", "scan"]);
  });
});

describe("kindOf a script of defineCommand", () => {
  it.each(["evalsha", "eval"])("is `read` only when it is declared read-only: %s", (name) => {
    expect(kindOf({ name, args: ["abc", 1, "k"], isReadOnly: true }, false)).toBe("read");
    expect(kindOf({ name, args: ["abc", 1, "k"], isReadOnly: false }, false)).toBe("write");
  });

  it("ignores the declaration for every other command", () => {
    expect(kindOf({ name: "set", args: ["k", "v"], isReadOnly: true }, false)).toBe("write");
  });
});

describe("kindOf a lookup", () => {
  it.each(["dbsize", "randomkey", "object encoding k", "memory usage k", "info", "role", "time", "lastsave"])(
    "is `lookup` for commands that describe a server: %s",
    (line) => {
      expect(kind(line)).toBe("lookup");
    },
  );

  it("is `lookup` for TOUCH, which matters only where keys are evicted by age", () => {
    expect(kind("touch k")).toBe("lookup");
  });

  it.each(["client getname", "client id", "CLIENT LIST", "client INFO", "ping", "echo x", "hello"])(
    "is `lookup` for commands that leave a connection unchanged: %s",
    (line) => {
      expect(kind(line)).toBe("lookup");
    },
  );
});

describe("kindOf a write", () => {
  it.each([
    ...["set k v", "del k", "incr k", "hset h f v", "lpush l x", "sadd s x", "zadd z 1 x", "expire k 1"],
    ...["flushall", "publish c m", "xadd x * a b", "xgroup create x g $", "xack x g 1-0", "rename a b"],
  ])("is `write` for commands that change data: %s", (line) => {
    expect(kind(line)).toBe("write");
  });

  it.each([
    ...["getex k", "getdel k", "sort l", "georadius g 0 0 1 m", "georadiusbymember g x 1 m"],
    ...["bitfield k get u8 0", "pfmerge a b", "xreadgroup group g c streams s >", "spop s", "getset k v"],
  ])("is `write` for commands that look like a read, but that a replica refuses: %s", (line) => {
    expect(kind(line)).toBe("write");
  });

  it.each(["eval return 0", "evalsha abc 0", "fcall f 0"])(
    "is `write` for scripts, whose effects are unknown: %s",
    (line) => {
      expect(kind(line)).toBe("write");
    },
  );

  it.each([
    ...["frobnicate k", "json.get k", "getx k", "", "constructor", "__proto__", "toString", "hasOwnProperty"],
    ...["valueOf", "get\n", "get k", "gеt", "prototype", "size", "has"],
  ])("is `write` for an unknown command: %j", (name) => {
    expect(kindOf({ name, args: ["k"] }, false)).toBe("write");
    expect(kindOf({ name, args: ["k"] }, true)).toBe("write");
  });
});

describe("kindOf a command that may block", () => {
  it.each([
    ...["blpop l 0", "brpop l 0", "brpoplpush a b 0", "blmove a b left right 0", "blmpop 0 1 l left"],
    ...["bzpopmin z 0", "bzpopmax z 0", "bzmpop 0 1 z min", "xread block 0 streams s $"],
    ...["xread count 1 BLOCK 0 streams s $", "xreadgroup group g c block 0 streams s >"],
  ])("is `blocking`: %s", (line) => {
    expect([kind(line), kind(line.toUpperCase()), kind(line, true)]).toEqual(Array(3).fill("blocking"));
  });
});

describe("kindOf a command of a transaction", () => {
  it.each(["multi", "exec", "discard"])("is `transactional` alone, and `lookup` in a batch: %s", (name) => {
    expect([kind(name), kind(name.toUpperCase()), kind(name, true)]).toEqual([
      "transactional",
      "transactional",
      "lookup",
    ]);
  });

  it.each(["watch k", "unwatch"])("is `transactional` in a batch too: %s", (line) => {
    expect([kind(line), kind(line, true)]).toEqual(["transactional", "transactional"]);
  });
});

describe("kindOf a command that would harm a shared connection", () => {
  const duplicate = /tidemark\.redis\.duplicate\(\)/;

  it.each([
    ...["wait 1 0", "waitaof 1 1 0", "subscribe c", "psubscribe c*", "ssubscribe c", "unsubscribe c"],
    ...["punsubscribe", "sunsubscribe", "sync", "reset", "readonly", "readwrite", "asking"],
  ])("is `refused`, with a dedicated connection as the remedy: %s", (line) => {
    expect([kind(line), kind(line.toUpperCase()), kind(line, true)]).toEqual(Array(3).fill("refused"));
    expect(remedyFor(line.split(" ")[0] ?? "")).toMatch(duplicate);
  });

  it.each(["select 1", "auth x", "hello 3", "client setname x"])(
    "is `refused`, with an option as the remedy: %s",
    (line) => {
      expect([kind(line), kind(line, true)]).toEqual(["refused", "refused"]);
      expect(remedyFor(line.split(" ")[0] ?? "")).toMatch(/Set the matching option in `redis`/);
    },
  );

  it.each([
    ["quit", /tidemark\.close\(\)/],
    ["HIMPORT", /duplicate\(\)/],
    ["MONITOR", /tidemark\.redis\.monitor\(\)/],
    ["wait", /covers only the writes of its own connection/],
  ])("names the alternative to %s", (name, remedy) => {
    expect(kind(name)).toBe("refused");
    expect(remedyFor(name)).toMatch(remedy);
  });

  it.each(["client reply off", "client tracking on", "client no-evict on", "client", "client setinfo x"])(
    "is `refused` for commands that change the connection for all sessions: %s",
    (line) => {
      expect(kind(line)).toBe("refused");
    },
  );

  it.each(["client kill id 7", "client pause 100", "client unpause", "client unblock 7"])(
    "is `write`, sent once, for commands that act on other connections: %s",
    (line) => {
      expect(kind(line)).toBe("write");
    },
  );

  it("finds BLOCK after a group, whatever the group and its consumer are called", () => {
    expect(kind("xreadgroup group streams c block 0 streams s >")).toBe("blocking");
    expect(kind("xreadgroup group g streams block 0 streams s >")).toBe("blocking");
    expect(kind("xreadgroup group block c streams s >")).toBe("write");
    expect(kind("xreadgroup group g block streams s >")).toBe("write");
  });
});

describe("kindOf", () => {
  it("accepts every spelling of a name, because names can come from `redis.call`", () => {
    expect(["GET k", "Get k", "SCAN 0", "SET k v", "XREAD STREAMS s 0"].map((line) => kind(line))).toEqual([
      "read",
      "read",
      "scan",
      "write",
      "read",
    ]);
  });

  it("accepts arguments that are no texts", () => {
    expect(kindOf({ name: "xread", args: [Buffer.from("BLOCK"), 0, "streams", "s", "$"] }, false)).toBe(
      "blocking",
    );
    expect(kindOf({ name: "xread", args: [Buffer.from("STREAMS"), Buffer.from("block"), 0] }, false)).toBe(
      "read",
    );
    expect(kindOf({ name: "client", args: [] }, false)).toBe("refused");
    expect(kindOf({ name: "client", args: [Buffer.from("ID")] }, false)).toBe("lookup");
  });
});

describe("provesPrimary", () => {
  it.each(["set", "INCR", "xreadgroup", "blpop", "sort", "getex", "flushall"])(
    "is true for commands that every replica refuses: %s",
    (name) => {
      expect(provesPrimary(name)).toBe(true);
    },
  );

  it.each([
    "eval",
    "EVALSHA",
    "fcall",
    "publish",
    "spublish",
    "script",
    "client",
    "config",
    "exec",
    "get",
    "ft.search",
  ])("is false for commands that a replica may carry out: %s", (name) => {
    expect(provesPrimary(name)).toBe(false);
  });
});

describe("keysOf", () => {
  it.each([
    ["sintercard", ["99999999999999999999", "a"]],
    ["SINTERCARD", ["99999999999999999999", "a"]],
    ["zunionstore", ["to", "99999999999999999999", "a"]],
    ["eval", ["return 1", "Infinity", "a"]],
    ["msetex", ["4294967295", "a", "b"]],
  ])("reads no more keys from %s than it has arguments", (name, args) => {
    expect(keyCount(new Command(name, args))).toBe(0);
  });

  it("counts the keys of commands that say how many follow", () => {
    expect(keyCount(new Command("sintercard", ["2", "a", "b", "limit", "1"]))).toBe(2);
    expect(keyCount(new Command("eval", ["return 1", "1", "a", "b"]))).toBe(1);
  });
});
