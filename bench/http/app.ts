/** An app in a process of its own. */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { answer } from "../report/worker.js";
import type { Contestant, Servers } from "./contestants.js";
import { type Usage, UsageMeter } from "./usage.js";

export type Framework = "Express" | "Koa" | "Fastify" | "Hono";

export interface AppOptions extends Servers {
  readonly framework: Framework;
  readonly contestant: Contestant;
}

/** The first begins it and is answered with its port. The others are asked around each span of time that counts. */
export type AppQuestion = AppOptions | "begin" | "end";

/** Each process loads one of them. */
const frameworks: Readonly<
  Record<Framework, () => Promise<{ serve(contestant: Contestant, servers: Servers): Promise<Server> }>>
> = {
  Express: () => import("./frameworks/express.js"),
  Koa: () => import("./frameworks/koa.js"),
  Fastify: () => import("./frameworks/fastify.js"),
  Hono: () => import("./frameworks/hono.js"),
};

/** No app closes a connection while others have their turns. */
const keepAliveMs = 600_000;
const meter = new UsageMeter();

answer(async (question: AppQuestion): Promise<number | Usage | undefined> => {
  if (question === "end") return meter.end();
  if (question !== "begin") return await listen(question);
  meter.begin();
  return undefined;
});

async function listen({ framework, contestant, primary, replicas }: AppOptions): Promise<number> {
  const { serve } = await frameworks[framework]();
  const server = await serve(contestant, { primary, replicas });
  server.keepAliveTimeout = keepAliveMs;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return port;
}
