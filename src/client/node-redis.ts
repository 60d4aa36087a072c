/** A node-redis client on top of an ioredis client, for libraries that accept only node-redis. */
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

/** The object that node-redis calls a method on: the client, or the result of `withTypeMapping()` and similar methods. */
interface Receiver {
  readonly _commandOptions?: CommandOptions;
}

/** The options of node-redis's `createClient` that do not concern the connection. */
export interface NodeRedisOptions<M extends RedisModules, F extends RedisFunctions, S extends RedisScripts> {
  readonly modules?: M;
  readonly functions?: F;
  readonly scripts?: S;
}

/** The type that `createClient({ RESP: 2 })` of the installed node-redis returns. */
export type NodeRedis<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
> = ReturnType<typeof createClient<M, F, S, 2, None>>;

const ownConnection = "Use a separate client: createClient() of node-redis, or tidemark.redis.duplicate()";

/**
 * Returns a node-redis client without a connection of its own, with the commands, arguments and replies of node-redis. Commands,
 * events and closing go through `redis`. Call this once with `tidemark.redis`. The client follows the session of the current
 * request. Throws an `InvalidOptionError` if `redis` is not an ioredis client or has `stringNumbers` or the RESP 3
 * `replyMapping`.
 */
export function nodeRedis<
  M extends RedisModules = None,
  F extends RedisFunctions = None,
  S extends RedisScripts = None,
>(redis: Redis, options: NodeRedisOptions<M, F, S> = {}): NodeRedis<M, F, S> {
  checkClient(redis);
  refuseUnknown("nodeRedis", options, ["modules", "functions", "scripts"]);
  // Methods run on the client object itself only if the client comes from duplicate().
  const client: NodeRedis<M, F, S> = createClient<M, F, S, 2, None>({ ...options, RESP: 2 }).duplicate();
  for (const part of [commandsOf(redis), connectionOf(redis, client), eventsOf(redis, client), refusals()]) {
    Object.defineProperties(client, Object.getOwnPropertyDescriptors(part));
  }
  return client;
}

function checkClient(redis: Redis): void {
  if (!(redis instanceof Redis)) {
    throw new InvalidOptionError("nodeRedis", redis, "Pass tidemark.redis or req.redis");
  }
  const { options } = redis;
  if (options.stringNumbers || ("replyMapping" in options && options.replyMapping === "resp3")) {
    const problem = options.stringNumbers ? "stringNumbers is set" : 'replyMapping is "resp3"';
    const remedy = "Remove it, because node-redis expects replies in their usual form";
    throw new InvalidOptionError("redis", options, remedy, problem);
  }
}

/** The functions that all commands, scripts and iterators of node-redis finally call. */
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
      // node-redis applies no type mapping to the reply of EXEC.
      return replies.map(([error, reply]) => (error ? errorOf(error) : decoded(reply, undefined)));
    },
  };
}

/**
 * ioredis turns the reply of "hgetall" into an object, but not the reply of "HGETALL". Replies of other commands have the RESP 2
 * shape.
 */
function callOf([name, ...args]: readonly RedisArgument[]): [string, RedisArgument[]] {
  const lower = String(name).toLowerCase();
  return [lower === "hgetall" ? "HGETALL" : lower, args];
}

/** Converts a reply in which all strings are Buffers to the form that node-redis's own parser returns. */
function decoded(reply: unknown, mapping: TypeMapping | undefined): unknown {
  if (Buffer.isBuffer(reply)) return mapping?.[RESP_TYPES.BLOB_STRING] === Buffer ? reply : reply.toString();
  if (typeof reply === "number") return mapping?.[RESP_TYPES.NUMBER] === String ? String(reply) : reply;
  if (Array.isArray(reply)) return reply.map((one) => decoded(one, mapping));
  return reply instanceof Error ? errorOf(reply) : reply;
}

/** Errors of the server become node-redis errors. Tidemark's errors stay as they are. */
function errorOf(error: unknown): unknown {
  return error instanceof Error && error.name === "ReplyError" ? new SimpleError(error.message) : error;
}

/** The first error in a failed transaction, which says why the transaction was not run. */
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
      // ioredis's own connect() rejects if there is already a connection.
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

/** Listeners are added to `redis`, because both libraries use the same names for connection events. */
function eventsOf(redis: Redis, client: unknown): object {
  const names = Object.keys(EventEmitter.prototype).filter((name) => !name.startsWith("_"));
  const call = (name: string, args: unknown[]) => {
    const result: unknown = Reflect.apply(Reflect.get(redis, name), redis, args);
    return result === redis ? client : result;
  };
  return Object.fromEntries(names.map((name) => [name, (...args: unknown[]) => call(name, args)]));
}

/** Methods that would wait for ever for a missing connection, or would open a connection to nowhere. */
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
