/** No message contains any part of a secret, wherever the secret was given and whatever a server repeats. */
import { createServer, type Server, type Socket } from "node:net";
import { inspect } from "node:util";
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { header, readYourWrites, session } from "../../src/http/frameworks/express.js";
import { Tidemark } from "../../src/index.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { seeded } from "../support/load/seeded.js";
import { HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { waitUntil } from "../support/wait-until.js";

/** Longer pieces of a secret than this would help to guess the rest. */
const pieceLength = 5;

/** Everything that people see of a thrown value, with the output of `console.error`. */
function shownOf(thrown: unknown): string {
  return `${thrown} ${inspect(thrown, { depth: 8 })}`.replaceAll(/ at .*/g, "");
}

function expectNoPartOf(secret: string, shown: string): void {
  for (let i = 0; i + pieceLength <= secret.length; i += 1)
    expect(shown, secret).not.toContain(secret.slice(i, i + pieceLength));
}

function failureOf(call: () => unknown): unknown {
  try {
    const made = call();
    if (made instanceof Tidemark) made.close();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("errors about options", () => {
  const letters = "ABCXYZkqvwz0123456789@:/?#%&='\"` \\[]{}";

  function secretFrom(random: () => number): string {
    const length = pieceLength + 3 + Math.floor(random() * 24);
    return Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join("");
  }

  /** All the shapes that a secret may be hidden in, by mistake or because an option takes it. */
  const shapes: readonly ((secret: string, inner: unknown) => unknown)[] = [
    (secret) => secret,
    (secret) => `redis://app:${secret}@10.0.0.1:6379/x`,
    (secret) => `redis://:${secret}@10.0.0.1:99999`,
    (secret) => `rediss://${secret}@10.0.0.1/1`,
    (secret) => `unix://app:${secret}@/run/redis.sock`,
    (secret) => `app:${secret}@10.0.0.1`,
    (secret) => `/run/redis.sock?password=${secret}#`,
    (secret) => `redis://10.0.0.1/x?password=${secret}`,
    (secret) => Buffer.from(secret),
    (secret) => new Set([secret]),
    (secret) => new Map([[secret, secret]]),
    (secret) => ({ password: secret, port: "x" }),
    (secret) => ({ host: `app:${secret}@10.0.0.1` }),
    (secret) => ({ host: `redis://:${secret}@10.0.0.1` }),
    (secret) => ({ path: `redis://:${secret}@10.0.0.1` }),
    (secret) => ({ port: secret }),
    (secret) => ({ db: secret }),
    (secret) => ({ tls: { key: secret, passphrase: secret }, port: "x" }),
    (secret) => ({ sentinelPassword: secret, readOnly: true }),
    (secret) => ({ role: secret }),
    (secret) => ({ [secret]: secret }),
    (secret) => new Redis({ lazyConnect: true, password: secret, readOnly: true }),
    (secret) => [secret],
    (secret) => () => secret,
    (secret) => Symbol(secret),
    (_secret, inner) => [inner],
    (_secret, inner) => ({ secret: inner }),
    (_secret, inner) => ({ redis: inner }),
    (_secret, inner) => ({ primary: inner, replicas: inner }),
    (_secret, inner) => ({ session: { cookie: inner } }),
    (_secret, inner) => Object.assign(new Error("x"), { inner }),
  ];

  const source = new HandMadeSessions();
  const lazy = { port: 1, lazyConnect: true };
  const tidemark = new Tidemark({ primary: { port: 1 }, replicas: [], redis: { lazyConnect: true } });

  /** Everything that takes options, with a value of any shape in each place of them. */
  const places: readonly ((value: unknown) => unknown)[] = [
    (value) => Reflect.construct(Tidemark, [value]),
    ...[
      "primary",
      "sentinels",
      "name",
      "cluster",
      "redis",
      "waitMs",
      "fallback",
      "fallbackLimit",
      "verify",
    ].map(
      (name) => (value: unknown) =>
        Reflect.construct(Tidemark, [{ primary: lazy, redis: { lazyConnect: true }, [name]: value }]),
    ),
    ...["zone", "zones", "weights", "context", "tokenTtlMs", "confirmMisses"].map(
      (name) => (value: unknown) =>
        Reflect.construct(Tidemark, [{ primary: lazy, replicas: [], [name]: value, maxStalenessMs: value }]),
    ),
    (value) => Reflect.construct(Tidemark, [{ primary: lazy, replicas: [value] }]),
    (value) =>
      Reflect.construct(Tidemark, [{ primary: { port: 1, keyPrefix: value }, redis: { keyPrefix: "x" } }]),
    (value) => Reflect.apply(readYourWrites, undefined, [value]),
    (value) => Reflect.apply(readYourWrites, undefined, [source, value]),
    (value) => Reflect.apply(readYourWrites, undefined, [{ secret: value }]),
    ...["carrier", "level", "monotonicReads", "properties"].map(
      (name) => (value: unknown) =>
        Reflect.apply(readYourWrites, undefined, [
          source,
          { secret: "a secret for tests only", [name]: value },
        ]),
    ),
    (value) => Reflect.apply(readYourWrites, undefined, [source, { secret: [value, "short"] }]),
    (value) => Reflect.apply(header, undefined, [{ name: value }]),
    (value) => Reflect.apply(session, undefined, [{ name: value, overlapMs: value }]),
    (value) => tidemark.session().at(Object(value)),
    (value) => Reflect.apply(tidemark.run, tidemark, [value, value]),
    (value) => Reflect.apply(tidemark.session, tidemark, [{ level: value, signal: value }]),
  ];

  it("contain no part of a secret, in any shape and place", () => {
    const random = seeded(23);
    let failures = 0;
    for (let i = 0; i < 40; i += 1) {
      const secret = secretFrom(random);
      for (const place of places) {
        const one = (): ((secret: string, inner: unknown) => unknown) =>
          shapes[Math.floor(random() * shapes.length)] ?? ((text) => text);
        const value = one()(secret, one()(secret, one()(secret, secret)));
        const error = failureOf(() => place(value));
        if (error === undefined) continue;
        failures += 1;
        expectNoPartOf(secret, shownOf(error));
      }
    }
    expect(failures).toBeGreaterThan(900);
  });
});

describe("errors from servers", () => {
  /** A server that answers the handshake with what it was sent, as Redis does with commands that it does not know. */
  async function startEcho(): Promise<Server> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        const words = String(bytes)
          .split("\r\n")
          .filter((word) => !/^[*$]/.test(word));
        const told = words.map((word) => `'${word}'`).join(" ");
        socket.write(`-ERR unknown command '${words[0]}', with args beginning with: ${told}\r\n`);
        socket.end(`-ERR cannot take ${words.join(" ")}\r\n`);
      });
    });
    server.on("close", () => {
      for (const socket of sockets) socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  /** A server that closes on what Twemproxy closes on, does not know AUTH, and says so with what it was sent. */
  async function startDroppingServer(password: string): Promise<AsyncDisposable & { readonly port: number }> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        if (/HELLO|INFO|CLIENT/i.test(String(bytes))) socket.destroy();
        else socket.write(`-ERR unknown command 'auth' '${password}'\r\n`);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    return {
      port: typeof address === "object" ? (address?.port ?? 0) : 0,
      [Symbol.asyncDispose]: async () => {
        for (const socket of sockets) socket.destroy();
        server.close();
      },
    };
  }

  it("contain no password, wherever they are shown", async () => {
    const password = "Kq7 zW9'x@secret";
    const server = await startEcho();
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const tidemark = new Tidemark({
      primary: { port, password },
      replicas: [{ host: "127.0.0.1", port, username: "app", password }],
      redis: { maxRetriesPerRequest: 1, protocol: 2 },
    });
    const shown: unknown[] = [];
    tidemark.redis.on("error", (error) => shown.push(error));
    const calls = [
      () => tidemark.redis.get("k"),
      () => tidemark.session().redis.set("k", "v"),
      () => tidemark.redis.blpop("k", 1),
      () => tidemark.redis.subscribe("news"),
      () => tidemark.ready({ timeoutMs: 500 }),
    ];
    for (const call of calls) shown.push(await call().catch((error: unknown) => error));
    shown.push(tidemark.topology());
    await tidemark.close();
    server.close();
    expect(shown.length).toBeGreaterThan(calls.length);
    for (const one of shown) expectNoPartOf(password, shownOf(one));
  });

  it("contain no password when a server without HELLO, INFO and CLIENT repeats it", async () => {
    const password = "Kq7zW9xsecret_42";
    await using server = await startDroppingServer(password);
    using warnings = listenToWarnings();
    const tidemark = new Tidemark({
      primary: { port: server.port, password },
      replicas: [],
      primaryTimeoutMs: 2_500,
    });
    const shown: unknown[] = [];
    tidemark.redis.on("error", (error) => shown.push(error));
    await waitUntil(
      async () => {
        shown.push(await tidemark.redis.get("k").catch((error: unknown) => error), tidemark.topology());
        return shown.some((one) => shownOf(one).includes("unknown command"));
      },
      { what: "the server's error is reported" },
    );
    await tidemark.close();
    for (const one of [...shown, ...warnings.heard]) expectNoPartOf(password, shownOf(one));
  });
});
