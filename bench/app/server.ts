/**
 * An ordinary app in a process of its own: a rate limiter and rolling sessions in Redis, and a page that reads its catalogue
 * there.
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { RedisStore as SessionStore } from "connect-redis";
import express, { type Express, type RequestHandler } from "express";
import { rateLimit } from "express-rate-limit";
import session from "express-session";
import type { Redis } from "ioredis";
import { RedisStore as LimitStore, type RedisReply } from "rate-limit-redis";
import { answer } from "../report/worker.js";
import { policies, type Servers } from "./policies.js";

/** The first one starts the app and is answered with its port. The others are answered with its usage since the one before. */
export type ServerQuestion = (Servers & { readonly policy: string; readonly products: number }) | "usage";

export interface Usage {
  readonly cpuMs: number;
  /** Of each response: from the app's last word until the response has been sent. */
  readonly heldMs: readonly number[];
}

declare module "express-session" {
  interface SessionData {
    count: number;
  }
}

const hourMs = 3_600_000;
let heldMs: number[] = [];
let cpuBefore = process.cpuUsage();

answer(async (question: ServerQuestion): Promise<number | Usage> => {
  if (question !== "usage") return await listen(await appOf(question));
  const { user, system } = process.cpuUsage(cpuBefore);
  const usage = { cpuMs: (user + system) / 1_000, heldMs };
  [cpuBefore, heldMs] = [process.cpuUsage(), []];
  return usage;
});

async function appOf({
  policy: name,
  products,
  ...servers
}: Exclude<ServerQuestion, "usage">): Promise<Express> {
  const open = policies[name];
  if (open === undefined) throw new Error(`there is no policy ${name}`);
  const policy = await open(servers);
  // Refusals are counted, so Express need not log them.
  const app = express().set("trust proxy", 1).set("env", "test");
  app.use(policy.first, measureHeld, limits(policy.client, name), sessions(policy.client, name));
  app.get(["/page", "/add"], async (request, response) => {
    if (request.path === "/add") request.session.count = (request.session.count ?? 0) + 1;
    const redis = policy.clientOf(request);
    const product = Number(request.query.product);
    const [banner, prices, details, stock, menu] = await Promise.all([
      redis.get("catalogue:banner"),
      redis.mget([0, 1, 2].map((next) => `catalogue:price:${(product + next) % products}`)),
      redis.hgetall(`catalogue:product:${product}`),
      redis.get(`catalogue:stock:${product}`),
      redis.hgetall("catalogue:menu"),
    ]);
    response.json({ count: request.session.count ?? 0, banner, prices, details, stock, menu });
  });
  return app;
}

/** Mounted before the session store, so that its `end` is the one that the store calls once it has saved. */
const measureHeld: RequestHandler = (_request, response, next) => {
  const { end } = response;
  let endedAt = Number.NaN;
  Object.assign(response, {
    end(...args: unknown[]): unknown {
      endedAt = performance.now();
      return Reflect.apply(end, response, args);
    },
  });
  response.once("finish", () => heldMs.push(performance.now() - endedAt));
  next();
};

function limits(client: Redis, name: string): RequestHandler {
  return rateLimit({
    windowMs: hourMs,
    limit: 1_000_000,
    standardHeaders: "draft-8",
    legacyHeaders: false,
    store: new LimitStore({
      prefix: `rl:${name}:`,
      sendCommand: (command: string, ...args: string[]) =>
        client.call(command, ...args) as Promise<RedisReply>,
    }),
  });
}

function sessions(client: Redis, name: string): RequestHandler {
  return session({
    secret: "a secret of this bench",
    store: new SessionStore({ client, prefix: `sess:${name}:` }),
    resave: false,
    saveUninitialized: false,
    rolling: true,
    cookie: { maxAge: hourMs },
  });
}

async function listen(app: Express): Promise<number> {
  const server = app.listen(0, "127.0.0.1");
  // Users keep their connections while other apps have their turns.
  server.keepAliveTimeout = 0;
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return port;
}
