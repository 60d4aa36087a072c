/** The apps of Koa. */
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer, type Server } from "node:http";
import Router from "@koa/router";
import { Redis } from "ioredis";
import Koa, { type Context } from "koa";
import session from "koa-session";
import { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/koa";
import { type Client, type Contestant, cookieName, type Servers, secret } from "../contestants.js";
import { fiveKeys, key, value } from "../routes.js";

/** What the routes of one app do with a request. */
interface Parts {
  redisOf(ctx: Context): Client;
  /** Reads the user's cookie, in the app with a signed cookie. */
  recall?(ctx: Context): unknown;
  /** Writes the user's cookie, in the app with a signed cookie. */
  remember?(ctx: Context): void;
}

const contestants: Readonly<Record<Contestant, (app: Koa, servers: Servers) => Promise<Parts>>> = {
  plain: async (_app, servers) => onPrimary(servers),
  async tidemark(app, servers) {
    const tidemark = new Tidemark(servers);
    await tidemark.ready();
    app.use(readYourWrites(tidemark, { secret }));
    return { redisOf: (ctx) => ctx.redis };
  },
  async "signed cookie"(app, servers) {
    app.keys = [secret];
    app.use(session({ key: cookieName }, app));
    return {
      ...onPrimary(servers),
      recall: (ctx) => ctx.session?.wroteAt,
      remember(ctx) {
        if (ctx.session) ctx.session.wroteAt = performance.now();
      },
    };
  },
  async AsyncLocalStorage(app, servers) {
    const storage = new AsyncLocalStorage<Context>();
    app.use((ctx, next) => storage.run(ctx, next));
    return onPrimary(servers);
  },
};

function onPrimary({ primary }: Servers): Parts {
  const redis = new Redis(primary);
  return { redisOf: () => redis };
}

export async function serve(contestant: Contestant, servers: Servers): Promise<Server> {
  const app = new Koa();
  const { redisOf, recall, remember } = await contestants[contestant](app, servers);
  const router = new Router();
  router.get("/none", (ctx) => {
    ctx.body = value;
  });
  router.get("/read", async (ctx) => {
    recall?.(ctx);
    ctx.body = await redisOf(ctx).get(key);
  });
  router.get("/five", async (ctx) => {
    recall?.(ctx);
    const redis = redisOf(ctx);
    const values = await Promise.all(fiveKeys.map((one) => redis.get(one)));
    ctx.body = values.every((one) => one === value) ? value : values;
  });
  router.post("/write", async (ctx) => {
    await redisOf(ctx).set(key, value);
    remember?.(ctx);
    ctx.body = value;
  });
  router.post("/write-then-read", async (ctx) => {
    const redis = redisOf(ctx);
    await redis.set(key, value);
    remember?.(ctx);
    ctx.body = await redis.get(key);
  });
  app.use(router.routes());
  return createServer(app.callback());
}
