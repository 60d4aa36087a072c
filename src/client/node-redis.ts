/** A client of node-redis on top of an ioredis client, for libraries that take no other. */
import { EventEmitter } from "node:events";
import { Redis } from "ioredis";
import {
  AbortError,
  createClient,
  RESP_TYPES,
  type RedisArgument,
  type RedisClientOptions,
  type RedisFunctions,
  type RedisModules,
  type RedisScripts,
  SimpleError,
  type TypeMapping,
  WatchError,
} from "redis";
import { InvalidOptionError, RefusedCommandError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";

type None = Record<never, never>;
type CommandOptions = RedisClientOptions["commandOptions"];
type Queued = readonly { readonly args: readonly RedisArgument[] }[];

/** Whoever node-redis calls a method on: the client, or what `withTypeMapping()` and its kin make of it. */
interface Receiver {
  readonly _commandOptions?: CommandOptions;
}

/** What `createClient` of node-redis takes besides the connection. */
export interface NodeRedisOptions<M extends RedisModules, F extends RedisFunctions, S extends RedisScripts> {
  readonly modules?: M;
  readonly functions?: F;
  readonly scripts?: S;
}

/** The client that `createClient({ RESP: 2 })` of the installed node-redis gives. */
export type NodeRedis<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
> = ReturnType<typeof createClient<M, F, S, 2, None>>;

const ownConnection = "use a client of its own: createClient() of node-redis, or tidemark.redis.duplicate()";

/**
 * A client of node-redis, with its commands, arguments and replies, that has no connection of its own: commands, events
 * and the end are those of `redis`. Give it `tidemark.redis`, once; it follows the session of the current request.
 */
export function nodeRedis<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
>(redis: Redis, options: NodeRedisOptions<M, F, S> = {}): NodeRedis<M, F, S> {
  checkClient(redis);
  refuseUnknown("nodeRedis", options, ["modules", "functions", "scripts"]);
  // Only the one that duplicate() gives is itself what its methods are called on.
  const client: NodeRedis<M, F, S> = createClient<M, F, S, 2, None>({ ...options, RESP: 2 }).duplicate();
  for (const part of [commandsOf(redis), connectionOf(redis, client), eventsOf(redis, client), refusals()]) {
    Object.defineProperties(client, Object.getOwnPropertyDescriptors(part));
  }
  return client;
}

function checkClient(redis: Redis): void {
  if (!(redis instanceof Redis)) {
    throw new InvalidOptionError("nodeRedis", redis, "give tidemark.redis or req.redis");
  }
  const { options } = redis;
  if (options.stringNumbers || ("replyMapping" in options && options.replyMapping === "resp3")) {
    throw new InvalidOptionError("redis", options, "node-redis needs no stringNumbers and no replyMapping");
  }
}

/** All that node-redis's commands, scripts and iterators end in. */
function commandsOf(redis: Redis): object {
  async function send(args: readonly RedisArgument[], options: CommandOptions): Promise<unknown> {
    if (options?.abortSignal?.aborted) throw new AbortError();
    try {
      return decoded(await redis.callBuffer(...callOf(args)), options?.typeMapping);
    } catch (error) {
      throw errorOf(error);
    }
  }
  return {
    sendCommand(this: Receiver, args: readonly RedisArgument[], options?: CommandOptions) {
      return send(args, { ...this._commandOptions, ...options });
    },
    _executePipeline(this: Receiver, commands: Queued) {
      return Promise.all(commands.map(({ args }) => send(args, this._commandOptions)));
    },
    async _executeMulti(commands: Queued) {
      const transaction = redis.multi();
      for (const { args } of commands) transaction.callBuffer(...callOf(args));
      const replies = await transaction.exec().catch((error: unknown) => {
        throw errorOf(firstOf(error));
      });
      if (replies === null) throw new WatchError();
      // node-redis maps no types in the reply to EXEC.
      return replies.map(([error, reply]) => (error ? errorOf(error) : decoded(reply, undefined)));
    },
  };
}

/** ioredis makes objects of the reply to "hgetall", but not to "HGETALL"; to others it gives the shape of RESP 2. */
function callOf([name, ...args]: readonly RedisArgument[]): [string, RedisArgument[]] {
  const lower = String(name).toLowerCase();
  return [lower === "hgetall" ? "HGETALL" : lower, args];
}

/** A reply as node-redis's own parser gives it, of one whose strings are all Buffers. */
function decoded(reply: unknown, mapping: TypeMapping | undefined): unknown {
  if (Buffer.isBuffer(reply)) return mapping?.[RESP_TYPES.BLOB_STRING] === Buffer ? reply : reply.toString();
  if (typeof reply === "number") return mapping?.[RESP_TYPES.NUMBER] === String ? String(reply) : reply;
  if (Array.isArray(reply)) return reply.map((one) => decoded(one, mapping));
  return reply instanceof Error ? errorOf(reply) : reply;
}

/** The server's errors are node-redis's; Tidemark's stay what they are. */
function errorOf(error: unknown): unknown {
  return error instanceof Error && error.name === "ReplyError" ? new SimpleError(error.message) : error;
}

/** Of the errors of a transaction, the one that says why it was not carried out. */
function firstOf(error: unknown): unknown {
  const previous = error instanceof Error && "previousErrors" in error ? error.previousErrors : undefined;
  return Array.isArray(previous) && previous.length > 0 ? previous[0] : error;
}

function connectionOf(redis: Redis, client: unknown): object {
  return {
    get isOpen() {
      return redis.status !== "end";
    },
    get isReady() {
      return redis.status === "ready";
    },
    async connect() {
      // ioredis's own connect() rejects when there is a connection.
      await redis.ping();
      return client;
    },
    quit: () => redis.quit(),
    QUIT: () => redis.quit(),
    async close() {
      await redis.quit();
    },
    destroy: () => redis.disconnect(),
    async disconnect() {
      redis.disconnect();
    },
  };
}

/** Listeners are those of `redis`: both name the events of a connection alike. */
function eventsOf(redis: Redis, client: unknown): object {
  const names = Object.keys(EventEmitter.prototype).filter((name) => !name.startsWith("_"));
  const call = (name: string, args: unknown[]) => {
    const result: unknown = Reflect.apply(Reflect.get(redis, name), redis, args);
    return result === redis ? client : result;
  };
  return Object.fromEntries(names.map((name) => [name, (...args: unknown[]) => call(name, args)]));
}

/** What would wait for ever for a connection that there is not, or open one to nowhere. */
function refusals(): object {
  const awaited = "subscribe unsubscribe pSubscribe pUnsubscribe sSubscribe sUnsubscribe monitor reset";
  const refuse = (name: string): never => {
    throw new RefusedCommandError(name, ownConnection);
  };
  return Object.fromEntries([
    ...awaited
      .split(" ")
      .flatMap((name) => [name, name.toUpperCase()].map((alias) => [alias, async () => refuse(name)])),
    ...["duplicate", "createPool"].map((name) => [name, () => refuse(name)]),
  ]);
}
