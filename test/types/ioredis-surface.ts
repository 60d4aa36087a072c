/**
 * Compiled, never run: what compiles with ioredis compiles with a Tidemark's clients, and gives the same types; what
 * they do not have is an error. Each wrong line says so itself, and is an error when it is not one.
 */
import type { Readable } from "node:stream";
import type { Request } from "express";
import {
  type Callback,
  type ChainableCommander,
  type ClientContext,
  Command,
  Redis,
  type RedisCommander,
  type RedisKey,
  type RedisOptions,
  type RedisValue,
  type Result,
} from "ioredis";
import { bounded, consistency, readYourWrites } from "../../src/http/frameworks/express.js";
import {
  type Consistency,
  type ReadRecord,
  type RouteMessage,
  routeChannel,
  type Session,
  type SessionClient,
  Tidemark,
  type TidemarkOptions,
} from "../../src/index.js";

declare module "ioredis" {
  interface RedisCommander<Context> {
    surfaceTwice(key: RedisKey, by: RedisValue, callback?: Callback<number>): Result<number, Context>;
  }
}

declare const tidemark: Tidemark;
declare const session: Session;
declare const req: Request;

/** Whether two types are the same, not only assignable; `any` is the same as nothing else. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only when `value` is of exactly the type `Expected`, which `expected` gives. */
declare function is<Expected>(): <Actual>(
  value: Actual,
  ...same: Same<Actual, Expected> extends true ? [] : [never]
) => void;

/** The client type that libraries declare. */
declare function takesRedis(redis: Redis): void;
declare function takesCommander(commander: RedisCommander): void;
declare function takesOptions(options: { client: Redis; prefix?: string }): void;
declare function takesPart(client: Pick<Redis, "get" | "set" | "del" | "eval" | "duplicate">): void;
declare function takesAny<Client extends Redis>(client: Client): Client;
declare function takesFactory(create: (options?: RedisOptions) => Redis): void;
declare function takesShape(client: {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<unknown>;
  expire(key: string, seconds: number): Promise<number>;
  call(command: string, ...args: string[]): Promise<unknown>;
}): void;

for (const client of [
  tidemark.redis,
  session.redis,
  req.redis,
  session.at("strong"),
  tidemark.redis.at("eventual"),
]) {
  takesRedis(client);
  takesCommander(client);
  takesOptions({ client });
  takesPart(client);
  takesShape(client);
  is<SessionClient>()(takesAny(client));
  takesFactory((options) => client.duplicate(options));
}
takesFactory(() => tidemark.redis);

/** Code that is written for clients and pipelines alike. */
function touch<Context extends ClientContext>(
  commander: RedisCommander<Context>,
  key: string,
): Result<number, Context> {
  return commander.expire(key, 60);
}

export async function replies(redis: SessionClient): Promise<void> {
  is<string | null>()(await redis.get("k"));
  is<Buffer | null>()(await redis.getBuffer("k"));
  is<Buffer | null>()(await redis.getBuffer(Buffer.from("k")));
  is<"OK">()(await redis.set("k", 1, "EX", 5));
  is<"OK" | null>()(await redis.set("k", Buffer.from("v"), "PX", 5, "NX"));
  is<string | null>()(await redis.set("k", "v", "GET"));
  is<number>()(await redis.del("a", "b"));
  is<number>()(await redis.del(["a", "b"]));
  is<Record<string, string>>()(await redis.hgetall("h"));
  is<Record<string, Buffer>>()(await redis.hgetallBuffer("h"));
  is<number>()(await redis.hset("h", { a: 1, b: "x" }));
  is<number>()(await redis.hset("h", new Map([["a", 1]])));
  is<"OK">()(await redis.mset(new Map([["a", Buffer.from("x")]])));
  is<(string | null)[]>()(await redis.mget(["a", "b"]));
  is<[string, string[]]>()(await redis.scan(0, "MATCH", "k*", "COUNT", 10));
  is<unknown>()(await redis.call("JSON.GET", "k", Buffer.from("$"), 1));
  is<unknown>()(await redis.callBuffer("GET", "k"));
  is<unknown>()(await redis.eval("return 1", 1, "k", "v"));
  is<string>()(await redis.info("replication"));
  is<string[]>()(await redis.zrange("z", 0, "-1", "WITHSCORES"));
  is<number>()(await redis.surfaceTwice("k", 2));
  is<unknown>()(await redis.sendCommand(new Command("get", ["k"])));
  is<number>()(await touch<{ type: "default" }>(redis, "k"));
  is<Redis>()(redis.duplicate({ db: 1 }));
  is<RedisOptions["keyPrefix"]>()(redis.options.keyPrefix);
  redis.get("k", (error, value) => {
    is<Error | null | undefined>()(error);
    is<string | null | undefined>()(value);
  });
  redis.surfaceTwice("k", 1, (error, value) => console.log(error?.message, value?.toFixed()));
  redis.defineCommand("surfaceTwice", { numberOfKeys: 1, lua: "return 2", readOnly: true });
  redis.on("message", (channel: string, message: string) => console.log(channel, message));
  const stream: Readable = redis.scanStream({ match: "k*", count: 10 });
  is<Promise<void>>()(redis.connect());
  console.log(stream, redis.status satisfies string, redis.isCluster satisfies boolean);
}

export async function batches(redis: SessionClient): Promise<void> {
  const pipeline: ChainableCommander = redis
    .pipeline()
    .set("a", 1)
    .get("a")
    .hset("h", { f: 1 })
    .surfaceTwice("a", 1);
  is<number>()(pipeline.length);
  is<number>()(touch<{ type: "pipeline" }>(pipeline, "a").length);
  is<[error: Error | null, result: unknown][] | null>()(await pipeline.exec());
  is<[error: Error | null, result: unknown][] | null>()(
    await redis
      .multi([
        ["set", "a", 1],
        ["getBuffer", "a"],
      ])
      .exec(),
  );
  redis.pipeline([["get", "a"]]).exec((error, results) => console.log(error?.message, results?.length));
  is<"OK">()(await redis.multi({ pipeline: false }));
  is<[error: Error | null, result: unknown][] | null>()(await redis.exec());
}

export async function sessions(): Promise<void> {
  const options: TidemarkOptions = {
    primary: new Redis(),
    replicas: ["redis://replica", { host: "replica", port: 6380 }, new Redis({ lazyConnect: true })],
    redis: { keyPrefix: "app:", db: 3, commandTimeout: 1_000, retryStrategy: (times) => times, scripts: {} },
  };
  await using made = new Tidemark(options);
  is<SessionClient>()(made.redis);
  is<Session>()(made.session({ token: ["a", "b"], level: { maxStalenessMs: 5 } }));
  is<Promise<string | null>>()(made.run(made.session({ token: () => [] }), () => made.redis.get("k")));
  is<number>()(made.run(made.session(), () => 5));
  is<string>()(session.token());
  is<readonly ReadRecord[]>()(session.reads);
  is<Promise<void> | undefined>()(session.settled());
  is<SessionClient>()(req.redis);
  is<Session>()(req.consistency);
  is<string | null>()(await session.at("eventual").at({ maxStalenessMs: 5 }).get("k"));
  const level: Consistency = session.level;
  routeChannel.subscribe((message) => {
    is<RouteMessage>()(message);
    console.log(message.reason, level);
  });
  takesRedis(Object.assign(made.session().redis, { extra: 1 }));
}

export async function misuse(redis: SessionClient): Promise<void> {
  // @ts-expect-error there is no such level
  redis.at("x");
  // @ts-expect-error a level is needed
  redis.at();
  // @ts-expect-error a bound has a name
  redis.at(500);
  // @ts-expect-error a bound is a number
  redis.at({ maxStalenessMs: "500" });
  // @ts-expect-error there is no such bound
  session.at({ maxStaleness: 500 });
  // @ts-expect-error there is no such level
  session.level = "linearizable";
  // @ts-expect-error there is no such level
  tidemark.session({ level: "weak" });
  // @ts-expect-error there is no such option
  tidemark.session({ tokens: "" });
  // @ts-expect-error a token is a text
  tidemark.session({ token: 5 });
  // @ts-expect-error what is run is missing
  tidemark.run(tidemark.session());
  // @ts-expect-error a session is needed
  tidemark.run(() => redis.get("k"));
  // @ts-expect-error a session is not what a token is
  tidemark.run(session.token(), () => redis.get("k"));
  // @ts-expect-error the session of a request stays what it is
  req.consistency = session;
  // @ts-expect-error the client of a Tidemark stays what it is
  tidemark.redis = redis;
  // @ts-expect-error the client of a request stays what it is
  req.redis = redis;
  // @ts-expect-error whether it wrote is not for others to say
  session.wrote = false;
  // @ts-expect-error a primary is needed
  new Tidemark({ replicas: [] });
  // @ts-expect-error options are needed
  new Tidemark();
  // @ts-expect-error replicas are a list
  new Tidemark({ primary: "redis://a", replicas: "redis://b" });
  // @ts-expect-error there is no such option
  new Tidemark({ primary: "redis://a", replica: [] });
  // @ts-expect-error there is no such option of ioredis
  new Tidemark({ primary: "redis://a", redis: { keyPrefx: "a" } });
  // @ts-expect-error a time is a number
  new Tidemark({ primary: "redis://a", waitMs: "5" });
  // @ts-expect-error there is no such fallback
  new Tidemark({ primary: "redis://a", fallback: "nowhere" });
  // @ts-expect-error a context is made of get and run
  new Tidemark({ primary: "redis://a", context: {} });
  // @ts-expect-error there is no such option
  readYourWrites(tidemark, { secrets: "a secret of this file" });
  // @ts-expect-error a Tidemark is needed
  readYourWrites(redis, { secret: "a secret of this file" });
  // @ts-expect-error there is no such level
  consistency("x");
  // @ts-expect-error a bound is a number
  bounded("500");
  // @ts-expect-error a key is needed
  await redis.get();
  // @ts-expect-error a key is a text or bytes
  await redis.get({ key: "k" });
  // @ts-expect-error a key is a text or bytes
  await redis.at("strong").get(5);
  // @ts-expect-error seconds are missing
  await redis.expire("k");
  // @ts-expect-error there is no such command
  await redis.frobnicate("k");
  // @ts-expect-error a command of the app has its arguments too
  await redis.surfaceTwice();
  // @ts-expect-error nor has a pipeline such a command
  redis.pipeline().frobnicate("k");
  // @ts-expect-error the value may be null
  (await redis.get("k")).length;
  // @ts-expect-error bytes are no text
  is<string | null>()(await redis.getBuffer("k"));
  // @ts-expect-error a plain client has no levels
  redis.duplicate().at("strong");
  // @ts-expect-error nor is it a session's client
  is<SessionClient>()(redis.duplicate());
}
