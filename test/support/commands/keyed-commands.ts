/** Commands with the keys that they touch, said by hand: a yardstick for what Tidemark finds out by itself. */

type Argument = string | number | Buffer;

/** One or several commands that are sent together, and what they touch. */
export interface Draft {
  readonly commands: readonly (readonly [name: string, ...args: Argument[]])[];
  /** Without a key prefix; undefined when any key may be touched. */
  readonly keys: readonly string[] | undefined;
  /** Whether Tidemark need not know the keys, although they are known here. */
  readonly isHard?: boolean;
}

/** Random choices, and keys that fit together. */
export interface Chance {
  /** A whole number from 0 up to, but not including, `n`. */
  below(n: number): number;
  key(): string;
  /** `key` as a text, a number or bytes. */
  spelled(key: string): Argument;
}

type Drafting = (chance: Chance) => Draft;

export function oneOf<T>(chance: Pick<Chance, "below">, all: readonly T[]): T {
  const one = all[chance.below(all.length)];
  if (one === undefined) throw new Error("there is none");
  return one;
}

function onOne(name: string, ...rest: Argument[]): Drafting {
  return (chance) => {
    const key = chance.key();
    return { commands: [[name, chance.spelled(key), ...rest]], keys: [key] };
  };
}

/** A command of two keys, `args` with both in their places. */
function onTwo(args: (one: Argument, other: Argument) => readonly [string, ...Argument[]]): Drafting {
  return (chance) => {
    const [one, other] = [chance.key(), chance.key()];
    return { commands: [args(chance.spelled(one), chance.spelled(other))], keys: [one, other] };
  };
}

/** A command of up to five keys, each followed by `rest`. */
function onMany(name: string, ...rest: Argument[]): Drafting {
  return (chance) => {
    const keys = Array.from({ length: 1 + chance.below(5) }, () => chance.key());
    return { commands: [[name, ...keys.flatMap((key) => [chance.spelled(key), ...rest])]], keys };
  };
}

function onAny(...command: [name: string, ...args: Argument[]]): Drafting {
  return () => ({ commands: [command], keys: undefined });
}

const writesOfOne = [
  ...[onOne("set", "v"), onOne("SET", "v", "EX", 100), onOne("incr"), onOne("append", "v"), onOne("getdel")],
  ...[onOne("hset", "f", "v"), onOne("lpush", "v"), onOne("rpop"), onOne("sadd", "m"), onOne("spop")],
  ...[onOne("zadd", 1, "m"), onOne("expire", 100), onOne("persist"), onOne("setex", 100, "v"), onOne("del")],
  ...[onOne("xadd", "*", "f", "v"), onOne("setbit", 7, 1), onOne("pfadd", "m"), onOne("getset", "v")],
  ...[onOne("hincrby", "f", 1), onOne("linsert", "before", "v", "w"), onOne("getex", "EX", 100)],
];

const writesOfMany = [
  ...[onMany("mset", "v"), onMany("msetnx", "v"), onMany("del"), onMany("unlink")],
  ...[onTwo((from, to) => ["rename", from, to]), onTwo((from, to) => ["copy", from, to])],
  ...[onTwo((from, to) => ["smove", from, to, "m"]), onTwo((from, to) => ["rpoplpush", from, to])],
  ...[onTwo((to, from) => ["sunionstore", to, from]), onTwo((to, from) => ["zunionstore", to, 1, from])],
  ...[onTwo((to, from) => ["bitop", "NOT", to, from]), onTwo((to, from) => ["pfmerge", to, from])],
  onTwo((from, to) => ["lmove", from, to, "LEFT", "RIGHT"]),
  onTwo((one, other) => ["lmpop", 2, one, other, "LEFT"]),
];

const unknownWrites = [
  ...[onAny("flushall"), onAny("flushdb"), onAny("swapdb", 0, 1), onAny("nosuch.command", "a")],
  ...[onAny("function", "load", "x"), onAny("eval", "return 1", 0), onAny("fcall", "f", 0)],
];

/** It touches no key at all. */
const publishing: Drafting = () => ({ commands: [["publish", "channel", "message"]], keys: [] });

/** It may write to a key that it reads from another. */
const sorting: Drafting = (chance) => {
  const [from, to] = [chance.key(), chance.key()];
  return { commands: [["sort", from, "STORE", to]], keys: [from, to], isHard: true };
};

function transaction(chance: Chance): Draft {
  const inside = Array.from({ length: 1 + chance.below(3) }, () =>
    chance.below(4) === 0 ? readOf(chance) : plainWrite(chance),
  );
  const commands = inside.flatMap((draft) => draft.commands);
  return { ...together(inside), commands: [["multi"], ...commands, ["exec"]] };
}

function plainWrite(chance: Chance): Draft {
  return oneOf(chance, chance.below(3) === 0 ? writesOfMany : writesOfOne)(chance);
}

/** A script that declares keys, by one of the names that scripts are run by. */
export function scriptOf(chance: Chance, names: readonly string[]): Draft {
  const keys = Array.from({ length: 1 + chance.below(2) }, () => chance.key());
  const [name, text] = [oneOf(chance, names), "return 1"];
  return { commands: [[name, text, keys.length, ...keys.map((key) => chance.spelled(key))]], keys };
}

/** A write, or a transaction of some; what a script touches is for the rules of the reader to say. */
export function writeOf(chance: Chance): Draft {
  const dice = chance.below(20);
  if (dice === 0) return oneOf(chance, unknownWrites)(chance);
  if (dice === 1) return oneOf(chance, [publishing, sorting])(chance);
  return dice < 5 ? transaction(chance) : plainWrite(chance);
}

const reads = [
  ...[onOne("get"), onOne("GET"), onOne("hgetall"), onOne("lrange", 0, -1), onOne("smembers"), onOne("ttl")],
  ...[onOne("zscore", "m"), onOne("strlen"), onOne("type"), onOne("hget", "f"), onOne("xrange", "-", "+")],
  ...[onMany("mget"), onMany("exists"), onMany("sunion"), onMany("pfcount")],
  onTwo((one, other) => ["sintercard", 2, one, other]),
  onTwo((one, other) => ["zdiff", 2, one, other]),
  onTwo((one, other) => ["xread", "STREAMS", one, other, 0, 0]),
];

const unknownReads = [onAny("keys", "*"), onAny("scan", 0), onAny("eval_ro", "return 1", 0)];

function readOf(chance: Chance): Draft {
  return oneOf(chance, reads)(chance);
}

/** Reads that are sent together, mostly one. */
export function readsOf(chance: Chance): Draft {
  const dice = chance.below(20);
  if (dice === 0) return oneOf(chance, unknownReads)(chance);
  if (dice > 3) return readOf(chance);
  return together(Array.from({ length: 2 + chance.below(3) }, () => readOf(chance)));
}

function together(drafts: readonly Draft[]): Draft {
  const commands = drafts.flatMap((draft) => draft.commands);
  const all = drafts.map(({ keys }) => keys);
  const keys = all.some((some) => some === undefined) ? undefined : all.flatMap((some) => some ?? []);
  return { commands, keys, isHard: drafts.some(({ isHard }) => isHard === true) };
}
