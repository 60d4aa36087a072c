/** Unknown options are refused in every place, with the name that was probably meant. */
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { nodeRedis } from "../../src/client/node-redis.js";
import { nearestName, tidemarkOptions } from "../../src/errors/option-names.js";
import { consistentFetch } from "../../src/http/consistent-fetch.js";
import * as express from "../../src/http/frameworks/express.js";
import * as fastify from "../../src/http/frameworks/fastify.js";
import * as koa from "../../src/http/frameworks/koa.js";
import * as web from "../../src/http/frameworks/web.js";
import { requestSessions } from "../../src/http/http.js";
import { Keyring } from "../../src/http/keyring.js";
import { InvalidOptionError, Tidemark } from "../../src/index.js";
import { namedIn } from "../../src/options/given-server.js";
import { HandMadeSessions } from "../support/stages/hand-made-sessions.js";

const secret = "a secret for tests only";
const source = new HandMadeSessions();
const primary = { port: 1 };

/** Calls what takes options with some that the types do not allow. */
function call(fn: (...args: never[]) => unknown, ...args: unknown[]): unknown {
  return Reflect.apply(fn, undefined, args);
}

function make(options: object): Tidemark {
  return Reflect.construct(Tidemark, [{ redis: { lazyConnect: true }, ...options }]);
}

function withTidemark(use: (tidemark: Tidemark) => unknown): unknown {
  return use(make({ primary, replicas: [] }));
}

const entries = { express, koa, web };

/** Names that other clients have for options of ioredis. */
const foreign: readonly [name: string, hint: string][] = [
  ...["ssl", "tlsOptions", "secure", "useTLS"].map((name): [string, string] => [name, '"tls"']),
  ...["rejectUnauthorized", "ca", "servername"].map((name): [string, string] => [name, `tls: { ${name} }`]),
  ...["prefix", "key_prefix", "keyprefix"].map((name): [string, string] => [name, '"keyPrefix"']),
  ...["dbIndex", "db_index", "DB", "database"].map((name): [string, string] => [name, '"db"']),
  ...["address", "ip", "server", "hostname"].map((name): [string, string] => [name, '"host"']),
  ...["unixSocket", "socketPath"].map((name): [string, string] => [name, '"path"']),
  ...["auth_pass", "pw", "credentials", "pass"].map((name): [string, string] => [name, '"password"']),
  ...["usr", "user"].map((name): [string, string] => [name, '"username"']),
];

const mistyped: readonly [what: string, give: () => unknown, message: string][] = [
  [
    "new Tidemark",
    () => make({ primary, replcas: [] }),
    'there is no option "replcas". Did you mean "replicas"?',
  ],
  ["new Tidemark", () => make({ primary, password: "x" }), '"password". Pass it in redis: { password }.'],
  [
    "new Tidemark",
    () => Reflect.construct(Tidemark, [{ host: "10.0.0.1" }]),
    '"host". Pass { primary: { host, port }, replicas: [{ host, port }] }',
  ],
  [
    "new Tidemark",
    () => make({ url: "redis://10.0.0.1" }),
    '"url". Pass { primary: "redis://10.0.0.1:6379", replicas:',
  ],
  ["new Tidemark", () => make({ master: primary, slaves: [] }), '"master". Pass { primary, replicas }.'],
  [
    "new Tidemark",
    () => Reflect.construct(Tidemark, [new Redis({ lazyConnect: true })]),
    "new Tidemark: got a client. Pass { primary: client }.",
  ],
  [
    "redis",
    () => make({ primary, redis: new Redis({ lazyConnect: true }) }),
    "redis: got a client. Pass ioredis options here, and a client as `primary`.",
  ],
  ["new Tidemark", () => make({ primary, key_prefix: "x" }), 'there is no option "key_prefix"'],
  ["new Tidemark", () => make({ primary, secret }), '"secret". Pass it to readYourWrites'],
  [
    "redis",
    () => make({ primary, redis: { pasword: "x" } }),
    'redis: there is no option "pasword". Did you mean "password"?',
  ],
  ["redis", () => make({ primary, redis: { keyprefix: "x" } }), 'Did you mean "keyPrefix"?'],
  [
    "redis",
    () => make({ primary, redis: { waitMs: 5 } }),
    '"waitMs". Pass waitMs to new Tidemark, beside `redis`.',
  ],
  [
    "a server",
    () => make({ primary: { hosst: 1 } }),
    'primary: there is no option "hosst". Did you mean "host"?',
  ],
  [
    "a server",
    () => make({ primary, replicas: [{ conectTimeout: 1 }] }),
    'replicas[0]: there is no option "conectTimeout"',
  ],
  ["fallbackLimit", () => make({ primary, fallbackLimit: { concurency: 5 } }), 'Did you mean "concurrency"?'],
  ["waitMs", () => make({ primary, waitMs: { sesion: 5 } }), 'Did you mean "session"?'],
  [
    "weights",
    () => make({ primary, weights: { "redis://:x@a:1": 1 } }),
    "weights: got a key that is not a server address",
  ],
  [
    "session()",
    () => withTidemark((one) => call(one.session.bind(one), { tokn: "" })),
    'Did you mean "token"?',
  ],
  [
    "session() with a seal",
    () => withTidemark((one) => call(one.session.bind(one), { seal: new Keyring(secret), tokn: "" })),
    'Did you mean "token"?',
  ],
  [
    "at()",
    () => withTidemark((one) => call(one.session().at.bind(one.session()), "strong", { waitms: 5 })),
    'Did you mean "waitMs"?',
  ],
  [
    "replicated()",
    () => withTidemark((one) => call(one.session().replicated.bind(one.session()), 1, { timeout: 5 })),
    'Did you mean "timeoutMs"?',
  ],
  [
    "nodeRedis()",
    () => withTidemark((one) => call(nodeRedis, one.redis, { modlues: {} })),
    'Did you mean "modules"?',
  ],
  ["requestSessions()", () => call(requestSessions, source, { secrt: secret }), 'Did you mean "secret"?'],
  ["header()", () => call(express.header, { nam: "x" }), 'Did you mean "name"?'],
  ["the carrier session()", () => call(express.session, { overlap: 5 }), 'Did you mean "overlapMs"?'],
  [
    "properties",
    () => call(express.readYourWrites, source, { secret, properties: { reds: "x" } }),
    'Did you mean "redis"?',
  ],
  [
    "withConsistency()",
    () => call(web.readYourWrites(source, { secret }), () => {}, { levl: "strong" }),
    'Did you mean "level"?',
  ],
  [
    "properties for tidemark/web",
    () => call(web.readYourWrites, source, { secret, properties: {} }),
    'there is no option "properties"',
  ],
  ...Object.entries(entries).flatMap(([name, entry]): [string, () => unknown, string][] => [
    [
      `readYourWrites of ${name}`,
      () => call(entry.readYourWrites, source, { secret, carier: [] }),
      'Did you mean "carrier"?',
    ],
    [
      `readYourWrites of ${name}`,
      () => call(entry.readYourWrites, source, { secret, sameSite: "lax" }),
      "carrier: cookie({ sameSite })",
    ],
    [
      `readYourWrites of ${name}`,
      () => call(entry.readYourWrites, source, { secret, partitioned: true }),
      "carrier: cookie({ partitioned })",
    ],
    [`cookie() of ${name}`, () => call(entry.cookie, { samesite: "lax" }), 'Did you mean "sameSite"?'],
    [
      `level of ${name}`,
      () => call(entry.readYourWrites, source, { secret, level: { wait: 5 } }),
      'Did you mean "waitMs"?',
    ],
  ]),
  ...Object.entries({ express, koa, fastify }).flatMap(([name, entry]): [string, () => unknown, string][] => [
    [
      `bounded() of ${name}`,
      () => call(entry.bounded, 500, { falback: "error" }),
      'Did you mean "fallback"?',
    ],
    [`strong() of ${name}`, () => call(entry.strong, { waitMS: 5 }), 'Did you mean "waitMs"?'],
    [
      `consistency() of ${name}`,
      () => call(entry.consistency, { maxStaleness: 5 }),
      'Did you mean "maxStalenessMs"?',
    ],
    [
      `consistency() of ${name}`,
      () => call(entry.consistency, [{ within: 5 }, "strong"]),
      '[0]: there is no option "within"',
    ],
    [`replicated() of ${name}`, () => call(entry.replicated, 1, { fsnyc: true }), 'Did you mean "fsync"?'],
  ]),
];

describe("a mistyped option", () => {
  it.each(mistyped)("is refused by %s", (_what, give, message) => {
    expect(give).toThrow(InvalidOptionError);
    expect(give).toThrow(message);
  });

  it("is refused by ready()", async () => {
    const tidemark = make({ primary, replicas: [] });
    await expect(call(tidemark.ready.bind(tidemark), { timeout: 5 })).rejects.toThrow(
      'ready: there is no option "timeout". Did you mean "timeoutMs"?',
    );
  });

  it("is refused by consistentFetch() with a TypeError, because browsers have no InvalidOptionError", () => {
    const give = (): unknown => call(consistentFetch, { orgins: "https://api.example.com" });
    expect(give).toThrow(TypeError);
    expect(give).toThrow(
      'consistentFetch: there is no option "orgins". The options are origins, header, fetch',
    );
  });

  it("is refused by Fastify's plugin, which accepts Fastify's own options", async () => {
    const { default: Fastify } = await import("fastify");
    const register = async (options: object): Promise<void> => {
      const app = Fastify();
      await app.register(fastify.readYourWrites, { tidemark: source, secret, ...options });
      await app.close();
    };
    await expect(register({ carier: fastify.cookie() })).rejects.toThrow('Did you mean "carrier"?');
    await expect(register({ prefix: "/api", logLevel: "warn" })).resolves.toBeUndefined();
  });

  it.each(["secret", 5, null, []])("is not looked for in a value that is no object: %j", (options) => {
    for (const entry of [express, koa, web])
      expect(() => call(entry.readYourWrites, source, options)).toThrow(
        /Pass an object with options, like \{ secret/,
      );
  });
});

describe("options of ioredis", () => {
  it.each(foreign)("that other clients call %s are refused in every place", (name, hint) => {
    const option = { [name]: "x" };
    const given: readonly (readonly [where: string, options: object])[] = [
      ["primary", { primary: { ...primary, ...option } }],
      ["redis", { primary, redis: option }],
      ["replicas[0]", { primary, replicas: [option] }],
      ["sentinels[0]", { sentinels: [option], name: "orders" }],
      ["cluster[0]", { cluster: [option] }],
    ];
    for (const [where, options] of given)
      expect(() => make(options)).toThrow(`${where}: there is no option "${name}". Did you mean ${hint}?`);
  });

  it("refuses a key that would replace the prototype of the options", () => {
    const option: object = JSON.parse('{ "__proto__": { "host": "10.0.0.1" } }');
    const message = 'there is no option "__proto__". Remove it';
    expect(() => make({ primary, redis: option })).toThrow(message);
    expect(() => make({ primary: option })).toThrow(message);
  });

  it("that are unknown pass, because an app or a later ioredis may use them", async () => {
    await using tidemark = make({
      primary,
      replicas: [],
      redis: { lazyConnect: true, tenant: "shop", poolSize: 4 },
    });
    expect(tidemark.redis.options).toMatchObject({ tenant: "shop", poolSize: 4 });
  });
});

describe("a value of an ioredis option", () => {
  it.each([
    ["password", 12_345_678],
    ["password", { v: "x" }],
    ["username", 5],
    ["keyPrefix", 5],
    ["protocol", 4],
    ["protocol", "resp3"],
    ["family", 5],
    ["tls", "yes"],
    ["tls", []],
    ["connectionName", "a b"],
    ["connectionName", "a\nb"],
    ["natMap", { "10.0.0.1:6379": "203.0.113.1:6379" }],
    ["natMap", { "10.0.0.1:6379": { host: "203.0.113.1" } }],
    ["natMap", "203.0.113.1"],
  ])("is refused when it is invalid: %s: %j", (name, value) => {
    expect(() => make({ primary, redis: { [name]: value } })).toThrow(`redis.${name}: got `);
    expect(() => make({ primary: { ...primary, [name]: value } })).toThrow(`primary.${name}: got `);
    expect(() => make({ primary, redis: { [name]: value } })).toThrow(InvalidOptionError);
  });

  it.each([
    { tls: true, protocol: 2, family: 0, connectionName: "shop-1", password: "" },
    { tls: false, protocol: 3, family: 6, natMap: { "10.0.0.1:6379": { host: "a", port: 1 } } },
    { natMap: () => null, password: null },
  ])("is accepted when it is valid: %j", async (redis) => {
    await using tidemark = make({ primary, replicas: [], redis: { ...redis, lazyConnect: true } });
    expect(tidemark.redis.options).toMatchObject({ lazyConnect: true });
  });
});

describe("a URL", () => {
  it.each([
    ["redis://a:1,redis://b:2", "got several servers in one URL. Pass one URL for each server"],
    ["redis://a:1,b:2", "got several servers in one URL"],
    ["redis://user:x@a,b", "got several servers in one URL"],
    ["redis://a:99999", "got a URL whose port is too large. Pass a port from 0 to 65535."],
    ["redis://:x@a:99999/1", "got a URL whose port is too large"],
    ["redis://a/3?db=4", "got a URL with two databases. Keep only one of them."],
    ["redis://a?host=b", "got a URL with two hosts. Keep only one of them."],
    ["redis://a?password=x@y&host=b", "got a URL with two hosts"],
    ["redis://[::1]?host=::2", "got a URL with two hosts"],
    ["//a?host=b", "got a URL with two hosts"],
    ["redis://a:1?port=2", "got a URL with two ports. Keep only one of them."],
    ["redis://a?path=/run/redis.sock", "got a URL with a host and a path. Keep only one of them."],
    ["/run/redis.sock?path=/run/other.sock", "got a URL with two paths"],
    ["unix:///run/redis.sock?host=a", "got a URL with a host and a path"],
    ["/run/redis.sock?port=1", "got a URL with a host and a path"],
    [
      "redis://a?sentinels=b:26379",
      "got a URL that names Sentinels. Pass { sentinels, name } to new Tidemark instead.",
    ],
    ["redis://x@a?username=y", "got a URL with two user names"],
    ["redis://:x@a?password=y", "got a URL with two passwords. Keep only one of them."],
  ])("is refused with the reason: %s", (url, message) => {
    expect(() => make({ primary: url })).toThrow(`primary: ${message}`);
    expect(() => make({ primary, replicas: [url] })).toThrow(`replicas[0]: ${message}`);
  });

  it.each([
    ["redis://10.0.0.1?port=7", { host: "10.0.0.1", port: 7 }],
    ["redis://10.0.0.1:7?host=10.0.0.1&port=7", { host: "10.0.0.1", port: 7 }],
    ["redis://[::1]:7?host=::1", { host: "::1", port: 7 }],
    ["redis://10.0.0.1:7?username=x&password=y@z", { username: "x", password: "y@z" }],
    ["/run/redis.sock?db=3", { path: "/run/redis.sock", db: 3 }],
  ])("may have parts in its query that it lacks before: %s", (url, options) => {
    expect(namedIn("primary", url)).toMatchObject(options);
  });

  it("may name the same database twice", async () => {
    await using tidemark = make({ primary: "redis://:a,b@10.0.0.1:1/3?db=3", replicas: [] });
    expect(tidemark.redis.options).toMatchObject({ db: 3, password: "a,b" });
  });
});

describe("invalid HTTP options", () => {
  it.each([
    ...["Content-Length", "Transfer-Encoding", "Set-Cookie", "Connection", "Host", "Authorization", "cookie"],
    ...["Cache-Control", "ETag", "Vary", "Location", "Upgrade", "Keep-Alive", "Origin", "X-Forwarded-For"],
  ])("header() refuses the name %s", (name) => {
    expect(() => express.header({ name })).toThrow("got the name of a header that has another meaning");
  });

  it.each(["X-Session", "Content", "Consistency-Token", "X-Cookie"])(
    "header() accepts the name %s",
    (name) => {
      expect(express.header({ name })).toHaveProperty("read");
    },
  );

  it.each(["cookie", "__proto__", "constructor", "toJSON"])("session() refuses the name %s", (name) => {
    expect(() => express.session({ name })).toThrow("got a name that sessions use themselves");
  });

  it("tidemark/web refuses session(), because Web requests have no session", () => {
    const carriers = [express.session(), [web.cookie(), express.session()]];
    for (const carrier of carriers)
      expect(() => call(web.readYourWrites, source, { secret, carrier })).toThrow(
        "carrier: got session(). Pass cookie() or header()",
      );
  });

  it("withConsistency() refuses an invalid handler", () => {
    expect(() => call(web.readYourWrites(source, { secret }), undefined)).toThrow(
      "withConsistency: got undefined. Pass the handler, a function.",
    );
  });

  it("requestSessions() names itself in its error", () => {
    expect(() => call(requestSessions, source, { secrt: secret })).toThrow("requestSessions: there is no");
  });

  it("middleware of another framework is refused at the first request", () => {
    const next = (): void => {};
    expect(() => call(koa.readYourWrites(source, { secret }), { headers: {} }, {})).toThrow(
      'Import it from "tidemark/express"',
    );
    expect(() => call(express.readYourWrites(source, { secret }), { req: {} }, next)).toThrow(
      'Import it from "tidemark/koa"',
    );
  });

  it("a secret of one character is refused with its length", () => {
    expect(() => express.readYourWrites(source, { secret: "x" })).toThrow("a string of 1 character.");
  });
});

describe("nearestName", () => {
  it.each([
    ["replica", "replicas"],
    ["maxStaleness", "maxStalenessMs"],
    ["primry", "primary"],
    ["primaryTimeout", "primaryTimeoutMs"],
    ["monotonic", "monotonicReads"],
    ["sentinel", "sentinels"],
    ["Zone", "zone"],
    ["onLostWrites", "onLostWrite"],
  ])("finds for %s the name %s", (name, meant) => {
    expect(nearestName(name, tidemarkOptions)).toBe(meant);
  });

  it.each(["poolSize", "q", "retries", "x".repeat(5_000)])("finds nothing for %s", (name) => {
    expect(nearestName(name, tidemarkOptions)).toBeUndefined();
  });
});
