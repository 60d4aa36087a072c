/** The apps of Hono, which `@hono/node-server` serves. */
import { AsyncLocalStorage } from "node:async_hooks";
import { createServer, type Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { getSignedCookie, setSignedCookie } from "hono/cookie";
import { Redis } from "ioredis";
import { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/web";
import { type Client, type Contestant, cookieName, type Servers, secret } from "../contestants.js";
import { fiveKeys, key, value } from "../routes.js";

type Handler = (request: Request) => Response | Promise<Response>;

/** What the routes of one app do with a request. */
interface Parts {
  readonly redis: Client;
  /** Wraps the whole app. */
  wrap?(handler: Handler): Handler;
  /** Reads the user's cookie, in the app with a signed cookie. */
  recall?(c: Context): Promise<unknown>;
  /** Writes the user's cookie, in the app with a signed cookie. */
  remember?(c: Context): Promise<void>;
}

const contestants: Readonly<Record<Contestant, (servers: Servers) => Promise<Parts>>> = {
  plain: async (servers) => onPrimary(servers),
  async tidemark(servers) {
    const tidemark = new Tidemark(servers);
    await tidemark.ready();
    return { redis: tidemark.redis, wrap: readYourWrites(tidemark, { secret }) };
  },
  "signed cookie": async (servers) => ({
    ...onPrimary(servers),
    recall: (c) => getSignedCookie(c, secret, cookieName),
    remember: (c) => setSignedCookie(c, cookieName, String(performance.now()), secret),
  }),
  async AsyncLocalStorage(servers) {
    const storage = new AsyncLocalStorage<Request>();
    return {
      ...onPrimary(servers),
      wrap: (handler) => (request) => storage.run(request, () => handler(request)),
    };
  },
};

function onPrimary({ primary }: Servers): Parts {
  return { redis: new Redis(primary) };
}

export async function serve(contestant: Contestant, servers: Servers): Promise<Server> {
  const app = new Hono();
  const { redis, wrap, recall, remember } = await contestants[contestant](servers);
  app.get("/none", (c) => c.text(value));
  app.get("/read", async (c) => {
    await recall?.(c);
    return c.text((await redis.get(key)) ?? "nothing");
  });
  app.get("/five", async (c) => {
    await recall?.(c);
    const values = await Promise.all(fiveKeys.map((one) => redis.get(one)));
    return values.every((one) => one === value) ? c.text(value) : c.json(values);
  });
  app.post("/write", async (c) => {
    await redis.set(key, value);
    await remember?.(c);
    return c.text(value);
  });
  app.post("/write-then-read", async (c) => {
    await redis.set(key, value);
    await remember?.(c);
    return c.text((await redis.get(key)) ?? "nothing");
  });
  const handler: Handler = (request) => app.fetch(request);
  return createServer(getRequestListener(wrap?.(handler) ?? handler));
}
