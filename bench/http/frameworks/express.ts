/** The apps of Express. */
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer, type Server } from "node:http";
import cookieSession from "cookie-session";
import express, { type Express, type Request } from "express";
import { Redis } from "ioredis";
import { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/express";
import { type Client, type Contestant, cookieName, type Servers, secret } from "../contestants.js";
import { fiveKeys, key, value } from "../routes.js";

/** What the routes of one app do with a request. */
interface Parts {
  redisOf(request: Request): Client;
  /** Reads the user's cookie, in the app with a signed cookie. */
  recall?(request: Request): unknown;
  /** Writes the user's cookie, in the app with a signed cookie. */
  remember?(request: Request): void;
}

const contestants: Readonly<Record<Contestant, (app: Express, servers: Servers) => Promise<Parts>>> = {
  plain: async (_app, servers) => onPrimary(servers),
  async tidemark(app, servers) {
    const tidemark = new Tidemark(servers);
    await tidemark.ready();
    app.use(readYourWrites(tidemark, { secret }));
    return { redisOf: (request) => request.redis };
  },
  async "signed cookie"(app, servers) {
    app.use(cookieSession({ name: cookieName, secret }));
    return {
      ...onPrimary(servers),
      recall: (request) => sessionOf(request).wroteAt,
      remember(request) {
        sessionOf(request).wroteAt = performance.now();
      },
    };
  },
  async AsyncLocalStorage(app, servers) {
    const storage = new AsyncLocalStorage<Request>();
    app.use((request, _response, next) => storage.run(request, next));
    return onPrimary(servers);
  },
};

/** express-session, which other parts use, declares another type for `request.session`. */
function sessionOf({ session }: { readonly session?: unknown }): { wroteAt?: number } {
  return session as { wroteAt?: number };
}

function onPrimary({ primary }: Servers): Parts {
  const redis = new Redis(primary);
  return { redisOf: () => redis };
}

export async function serve(contestant: Contestant, servers: Servers): Promise<Server> {
  const app = express();
  const { redisOf, recall, remember } = await contestants[contestant](app, servers);
  app.get("/none", (_request, response) => {
    response.send(value);
  });
  app.get("/read", async (request, response) => {
    recall?.(request);
    response.send(await redisOf(request).get(key));
  });
  app.get("/five", async (request, response) => {
    recall?.(request);
    const redis = redisOf(request);
    const values = await Promise.all(fiveKeys.map((one) => redis.get(one)));
    response.send(values.every((one) => one === value) ? value : values);
  });
  app.post("/write", async (request, response) => {
    await redisOf(request).set(key, value);
    remember?.(request);
    response.send(value);
  });
  app.post("/write-then-read", async (request, response) => {
    const redis = redisOf(request);
    await redis.set(key, value);
    remember?.(request);
    response.send(await redis.get(key));
  });
  return createServer(app);
}
