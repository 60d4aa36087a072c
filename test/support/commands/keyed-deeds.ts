/** The deeds of users: writes with unique names, and reads whose answers name the writes that they have seen. */
import type { Tidemark } from "../../../src/index.js";
import { scopeOfAll } from "./keyed-oracle.js";

type Client = Pick<Tidemark["redis"], "call" | "pipeline" | "multi">;
type Command = readonly [name: string, ...args: (string | number | Buffer)[]];

/** A command, and what it touches. Keys are without a prefix. */
export interface Part {
  readonly kind: "read" | "write";
  readonly command: Command;
  readonly keys: readonly string[];
  /** With those of its transaction; undefined when Tidemark need not know them. */
  readonly touched: readonly string[] | undefined;
  /** The name of a write. */
  readonly name?: string;
  /** The values that a read has found, one for each key. */
  valuesIn?(reply: unknown): (string | null)[];
}

/** Commands that are given together. */
export interface Deed {
  readonly parts: readonly Part[];
  readonly way: "alone" | "pipeline" | "transaction" | "by hand";
  readonly level?: "strong" | "eventual";
  readonly isUntracked?: boolean;
}

/** The replies of the parts. */
export async function perform(client: Client, { parts, way }: Deed): Promise<unknown[]> {
  if (way === "alone")
    return Promise.all(parts.map(({ command: [name, ...args] }) => client.call(name, ...args)));
  if (way === "by hand") {
    const begun = client.call("MULTI");
    const queued = parts.map(({ command: [name, ...args] }) => client.call(name, ...args));
    await Promise.all([begun, ...queued]);
    return (await client.call("EXEC")) as unknown[];
  }
  const queue = way === "pipeline" ? client.pipeline() : client.multi();
  for (const { command } of parts) {
    const [name, ...args] = command;
    queue.call(name, ...args);
  }
  const results = await queue.exec();
  return (results ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}

/** Invents deeds of one user. */
export class Deeds {
  readonly #below: (n: number) => number;
  readonly #nameWrite: () => string;
  readonly #scopes: readonly string[];
  readonly #keys: readonly string[];
  readonly #texts: readonly string[];
  /** The keys that the user writes to most of the time, and reads half of the time. */
  readonly #favourites: readonly string[];

  constructor(scopes: readonly string[], below: (n: number) => number, nameWrite: () => string) {
    [this.#scopes, this.#below, this.#nameWrite] = [scopes, below, nameWrite];
    const bare = ["s", "h", "l", "x"].flatMap((type) => [1, 2, 3].map((n) => `${type}${n}`));
    this.#keys = ["", ...scopes].flatMap((scope) => bare.map((name) => scope + name));
    this.#texts = this.#keys.filter((key) => key.at(-2) === "s");
    this.#favourites = [this.#any(this.#texts), this.#any(this.#texts), this.#any(this.#keys)];
  }

  /** A transaction that writes to a dozen keys under one name. */
  flood(): Deed {
    const name = this.#nameWrite();
    const parts = Array.from({ length: 12 }, () => this.#write(this.#any(this.#keys), name));
    return { way: "transaction", parts };
  }

  next(mayConverse: boolean): Deed {
    const dice = this.#below(mayConverse ? 100 : 98);
    if (dice < 30) return { way: "alone", parts: [this.#read(this.#key(2))] };
    if (dice < 38) return { way: "alone", parts: [this.#readOfMany()] };
    if (dice < 46) return { way: "pipeline", parts: this.#several(() => this.#read(this.#key(2))) };
    if (dice < 50) return { way: "alone", parts: [this.#readByScript()] };
    if (dice < 53) return { way: "alone", parts: [this.#read(this.#key(2))], level: "strong" };
    if (dice < 56) return { way: "alone", parts: [this.#read(this.#key(2))], level: "eventual" };
    if (dice < 76) return { way: "alone", parts: [this.#write(this.#key(40))] };
    if (dice < 80) return { way: "alone", parts: [this.#writeOfMany()] };
    if (dice < 86) return { way: "transaction", parts: this.#transaction() };
    if (dice < 91) return { way: "pipeline", parts: this.#several(() => this.#either()) };
    if (dice < 93) return { way: "alone", parts: [this.#writeByScript()] };
    if (dice < 98) return { way: "alone", parts: [this.#write(this.#key(2))], isUntracked: true };
    return { way: "by hand", parts: this.#several(() => this.#write(this.#key(40))) };
  }

  #any<T>(all: readonly T[]): T {
    const one = all[this.#below(all.length)];
    if (one === undefined) throw new Error("there is none");
    return one;
  }

  /** One of a few keys of the user, or once in `n` any. */
  #key(n: number): string {
    return this.#any(this.#below(n) === 0 ? this.#keys : this.#favourites);
  }

  #someTexts(n: number): string[] {
    const texts = this.#below(n) === 0 ? this.#texts : this.#favourites.slice(0, 2);
    return Array.from({ length: 1 + this.#below(3) }, () => this.#any(texts));
  }

  #several(invent: () => Part): Part[] {
    return Array.from({ length: 2 + this.#below(2) }, invent);
  }

  #either(): Part {
    return this.#below(2) === 0 ? this.#read(this.#key(2)) : this.#write(this.#key(40));
  }

  #spelled(key: string): string | Buffer {
    return this.#below(3) === 0 ? Buffer.from(key) : key;
  }

  #write(key: string, name = this.#nameWrite()): Part {
    const at = this.#spelled(key);
    const ways: Readonly<Record<string, readonly Command[]>> = {
      s: [
        ["set", at, name],
        ["SETEX", at, 10_000, name],
        ["getset", at, name],
      ],
      h: [
        ["hset", at, "f", name],
        ["HMSET", at, "f", name],
      ],
      l: [["lpush", at, name]],
      x: [["xadd", at, "MAXLEN", 5, "*", "f", name]],
    };
    const command = this.#any(ways[key.at(-2) ?? ""] ?? []);
    return { kind: "write", command, keys: [key], touched: [key], name };
  }

  #read(key: string): Part {
    const at = this.#spelled(key);
    const ways: Readonly<Record<string, Command>> = {
      s: ["get", at],
      h: ["HGET", at, "f"],
      l: ["lindex", at, 0],
      x: ["xrevrange", at, "+", "-", "COUNT", 1],
    };
    const command = ways[key.at(-2) ?? ""] ?? this.#any([]);
    return { kind: "read", command, keys: [key], touched: [key], valuesIn: (reply) => [valueIn(reply)] };
  }

  #readOfMany(): Part {
    const keys = this.#someTexts(2);
    const command: Command = ["mget", ...keys.map((key) => this.#spelled(key))];
    return { kind: "read", command, keys, touched: keys, valuesIn: valuesIn };
  }

  #readByScript(): Part {
    const keys = this.#someTexts(2);
    const command: Command = ["eval_ro", "return redis.call('mget', unpack(KEYS))", keys.length, ...keys];
    return { kind: "read", command, keys, touched: this.#declared(keys), valuesIn: valuesIn };
  }

  #writeOfMany(): Part {
    const [name, keys] = [this.#nameWrite(), this.#someTexts(20)];
    const command: Command = ["mset", ...keys.flatMap((key) => [this.#spelled(key), name])];
    return { kind: "write", command, keys, touched: keys, name };
  }

  #writeByScript(): Part {
    const [name, keys] = [this.#nameWrite(), this.#someTexts(20)];
    const script = "for _, key in ipairs(KEYS) do redis.call('set', key, ARGV[1]) end";
    const command: Command = ["eval", script, keys.length, ...keys, name];
    return { kind: "write", command, keys, touched: this.#declared(keys), name };
  }

  #transaction(): Part[] {
    const parts = [this.#write(this.#key(40)), ...this.#several(() => this.#either())];
    const touched = parts.flatMap(({ keys }) => keys);
    return parts.map((part) => ({ ...part, touched }));
  }

  /** Scripts are taken at their word where all their keys are in one scope that was named. */
  #declared(keys: readonly string[]): readonly string[] | undefined {
    const scope = scopeOfAll(keys, this.#scopes);
    return typeof scope === "object" && scope.scope !== "" ? keys : undefined;
  }
}

function valuesIn(reply: unknown): (string | null)[] {
  return Array.isArray(reply) ? reply.map(valueIn) : [];
}

/** The name of the write in a text, or at the end of the newest entry of a stream. */
function valueIn(reply: unknown): string | null {
  if (!Array.isArray(reply)) return reply === null ? null : String(reply);
  return reply.length === 0 ? null : valueIn(reply.at(-1));
}
