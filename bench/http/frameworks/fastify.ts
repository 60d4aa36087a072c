/** The apps of Fastify. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Server } from "node:http";
import cookies from "@fastify/cookie";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { Redis } from "ioredis";
import { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/fastify";
import { type Client, type Contestant, cookieName, type Servers, secret } from "../contestants.js";
import { fiveKeys, key, value } from "../routes.js";

/** What the routes of one app do with a request. */
interface Parts {
  redisOf(request: FastifyRequest): Client;
  /** Reads the user's cookie, in the app with a signed cookie. */
  recall?(request: FastifyRequest): unknown;
  /** Writes the user's cookie, in the app with a signed cookie. */
  remember?(reply: FastifyReply): unknown;
}

const contestants: Readonly<Record<Contestant, (app: FastifyInstance, servers: Servers) => Promise<Parts>>> =
  {
    plain: async (_app, servers) => onPrimary(servers),
    async tidemark(app, servers) {
      const tidemark = new Tidemark(servers);
      await tidemark.ready();
      await app.register(readYourWrites, { tidemark, secret });
      return { redisOf: (request) => request.redis };
    },
    async "signed cookie"(app, servers) {
      await app.register(cookies, { secret });
      return {
        ...onPrimary(servers),
        recall: (request) => request.unsignCookie(request.cookies[cookieName] ?? ""),
        remember: (reply) => reply.setCookie(cookieName, String(performance.now()), { signed: true }),
      };
    },
    async AsyncLocalStorage(app, servers) {
      const storage = new AsyncLocalStorage<FastifyRequest>();
      app.addHook("onRequest", (request, _reply, done) => storage.run(request, done));
      return onPrimary(servers);
    },
  };

function onPrimary({ primary }: Servers): Parts {
  const redis = new Redis(primary);
  return { redisOf: () => redis };
}

export async function serve(contestant: Contestant, servers: Servers): Promise<Server> {
  const app = fastify();
  const { redisOf, recall, remember } = await contestants[contestant](app, servers);
  app.get("/none", async () => value);
  app.get("/read", async (request) => {
    recall?.(request);
    return await redisOf(request).get(key);
  });
  app.get("/five", async (request) => {
    recall?.(request);
    const redis = redisOf(request);
    const values = await Promise.all(fiveKeys.map((one) => redis.get(one)));
    return values.every((one) => one === value) ? value : values;
  });
  app.post("/write", async (request, reply) => {
    await redisOf(request).set(key, value);
    remember?.(reply);
    return value;
  });
  app.post("/write-then-read", async (request, reply) => {
    const redis = redisOf(request);
    await redis.set(key, value);
    remember?.(reply);
    return await redis.get(key);
  });
  await app.ready();
  return app.server;
}
