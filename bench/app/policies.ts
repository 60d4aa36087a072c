/** The ways in which an ordinary app's commands are spread over servers that lag: one client each, which knows the user of a request. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Request, RequestHandler } from "express";
import { type Command, Redis } from "ioredis";
import { type KeyOptions, Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/express";

export interface Servers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

export interface Policy {
  /** Mounted before everything else. */
  readonly first: RequestHandler;
  /** The client of the session store and of the rate limiter. */
  readonly client: Redis;
  /** The client of a page. */
  clientOf(request: Request): Pick<Redis, "get" | "mget" | "hgetall">;
}

export const oracle = "an oracle by key";

export const policies: Readonly<Record<string, (servers: Servers) => Promise<Policy>>> = {
  "all on the primary": async (servers) => spread(servers, { readerOf: () => undefined, wrote: () => {} }),
  "replicas at random": async (servers) => spread(servers, sticky(servers, 0)),
  "primary for 2 s after a write": async (servers) => spread(servers, sticky(servers, 2_000)),
  "primary for 5 s after a write": async (servers) => spread(servers, sticky(servers, 5_000)),
  "Tidemark, every read has to see every write": async (servers) =>
    withTidemark({ ...servers, keysPerToken: 0, scopes: [], untracked: [] }),
  Tidemark: withTidemark,
  [oracle]: async (servers) => spread(servers, new Oracle(servers)),
};

async function withTidemark(options: Servers & KeyOptions): Promise<Policy> {
  const tidemark = new Tidemark(options);
  await tidemark.ready();
  return {
    first: readYourWrites(tidemark, { secret: "a secret of at least 32 characters, for a bench" }),
    client: tidemark.redis,
    clientOf: ({ redis }) => redis,
  };
}

/** Decides where a user's reads go. */
interface Spreading {
  /** The replica that answers a read of `keys`; undefined for the primary. */
  readerOf(user: string, keys: readonly string[]): Redis | undefined | Promise<Redis | undefined>;
  /** Called right behind a write of `keys` that is sent on `primary`. */
  wrote(user: string, keys: readonly string[], primary: Redis, done: Promise<unknown>): void;
}

const users = new AsyncLocalStorage<string>();
const reads = new Set(["get", "mget", "hgetall"]);

function spread({ primary }: Servers, spreading: Spreading): Policy {
  const client = new SpreadingClient(primary, spreading);
  return {
    first: ({ ip = "" }, _response, next) => users.run(ip, next),
    client,
    clientOf: () => client,
  };
}

/** A client of the primary that lets replicas answer reads. */
class SpreadingClient extends Redis {
  readonly #spreading: Spreading;

  constructor(primary: string, spreading: Spreading) {
    super(primary);
    this.#spreading = spreading;
  }

  override sendCommand(...[command, stream]: Parameters<Redis["sendCommand"]>): unknown {
    const user = users.getStore();
    if (user === undefined || stream !== undefined) return super.sendCommand(command, stream);
    // What asks for positions belongs to no user.
    return users.exit(() =>
      reads.has(command.name) ? this.#read(user, command) : this.#write(user, command),
    );
  }

  async #read(user: string, command: Command): Promise<unknown> {
    const reader = await this.#spreading.readerOf(user, keysOf(command));
    return reader === undefined ? super.sendCommand(command) : reader.sendCommand(command);
  }

  #write(user: string, command: Command): unknown {
    const sent = super.sendCommand(command);
    this.#spreading.wrote(user, keysOf(command), this, command.promise);
    return sent;
  }
}

/** The keys of the commands that the app, its session store and its rate limiter send. */
function keysOf({ name, args }: Command): string[] {
  const texts = args.map(String);
  if (/^script$/i.test(name)) return [];
  return /^eval/i.test(name)
    ? texts.slice(2, 2 + Number(texts[1]))
    : texts.slice(0, isOfMany(name) ? undefined : 1);
}

function isOfMany(name: string): boolean {
  return /^(mget|del)$/i.test(name);
}

function sticky({ replicas: urls }: Servers, stickMs: number): Spreading {
  const replicas = urls.map((url) => new Redis(url));
  const wroteAt = new Map<string, number>();
  return {
    readerOf(user) {
      const sticks = performance.now() - (wroteAt.get(user) ?? Number.NEGATIVE_INFINITY) < stickMs;
      return sticks ? undefined : inRandomOrder(replicas)[0];
    },
    wrote(user, _keys, _primary, done) {
      done.then(
        () => wroteAt.set(user, performance.now()),
        () => {},
      );
    },
  };
}

/**
 * Knows which keys each user has written, and up to which offset. Before a read of one of them it asks every replica for the
 * offset that the replica has applied, and takes the primary only if none has the write.
 */
class Oracle implements Spreading {
  readonly #replicas: readonly Redis[];
  readonly #written = new Map<string, Map<string, Promise<number>>>();

  constructor({ replicas }: Servers) {
    this.#replicas = replicas.map((url) => new Redis(url));
  }

  async readerOf(user: string, keys: readonly string[]): Promise<Redis | undefined> {
    const written = keys.flatMap((key) => this.#written.get(user)?.get(key) ?? []);
    const needed = Math.max(0, ...(await Promise.all(written)));
    const replicas = inRandomOrder(this.#replicas);
    if (needed === 0) return replicas[0];
    const applied = await Promise.all(replicas.map((replica) => offsetOf(replica, "slave_repl_offset")));
    return replicas.find((_, index) => (applied[index] ?? 0) >= needed);
  }

  wrote(user: string, keys: readonly string[], primary: Redis): void {
    if (keys.length === 0) return;
    // On the connection of the write and right behind it, so that the offset covers the write.
    const offset = offsetOf(primary, "master_repl_offset");
    const written = this.#written.get(user) ?? new Map<string, Promise<number>>();
    this.#written.set(user, written);
    for (const key of keys) written.set(key, offset);
  }
}

async function offsetOf(server: Redis, field: string): Promise<number> {
  const [, offset] = new RegExp(`^${field}:(\\d+)`, "m").exec(await server.info("replication")) ?? [];
  return Number(offset);
}

function inRandomOrder(replicas: readonly Redis[]): Redis[] {
  return replicas.toSorted(() => Math.random() - 0.5);
}
