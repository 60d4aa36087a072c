/** An app in a process of its own, with the middleware or without. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express, { type Express } from "express";
import { Redis } from "ioredis";
import { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/express";
import { answer } from "../report/worker.js";

/** The first begins it and is answered with its port, all others with the CPU it has used so far, in µs. */
export type AppQuestion =
  | { readonly middleware: boolean; readonly primary: string; readonly replicas: readonly string[] }
  | "cpu";

answer(async (question: AppQuestion): Promise<number> => {
  if (question !== "cpu")
    return await listen(question.middleware ? await withTidemark(question) : plain(question));
  const { user, system } = process.cpuUsage();
  return user + system;
});

type Servers = Exclude<AppQuestion, "cpu">;

function plain({ primary }: Servers): Express {
  const redis = new Redis(primary);
  const app = express();
  addRoutes(app, () => redis);
  return app;
}

async function withTidemark({ primary, replicas }: Servers): Promise<Express> {
  const tidemark = new Tidemark({ primary, replicas });
  await tidemark.ready();
  const app = express();
  app.use(readYourWrites(tidemark, { secret: "a secret of at least 32 characters, for a bench" }));
  addRoutes(app, (request) => request.redis);
  return app;
}

function addRoutes(app: Express, redisOf: (request: express.Request) => Pick<Redis, "get" | "set">): void {
  app.get("/none", (_request, response) => {
    response.send("value");
  });
  app.get("/read", async (request, response) => {
    response.send(await redisOf(request).get("key"));
  });
  app.get("/write", async (request, response) => {
    const redis = redisOf(request);
    await redis.set("key", "value");
    response.send(await redis.get("key"));
  });
}

async function listen(app: Express): Promise<number> {
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return port;
}
