/** `npm start`: serves the cart app, to try it in a browser and to change the replication lag there. */
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import express, { type Request, type Response } from "express";
import { Redis } from "ioredis";
import { type RouteMessage, routeChannel, Tidemark } from "tidemark";
import { dashboard, readYourWrites } from "tidemark/express";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { maxLagMs } from "../stale-read/lag-swing.js";
import { giveRedis, withReadCart } from "../stale-read/routing.js";
import { cartApp } from "./app.js";

const startLagMs = 250;

console.log("starting a primary and two replicas …");
const group = await startReplicationGroup({ replicas: 2, lag: { ms: startLagMs } });
const tidemark = new Tidemark({
  primary: group.primary.url,
  replicas: group.replicas.map(({ server }) => server.url),
});
const replicas = group.replicas.map(({ server }) => new Redis(server.url));

let lagMs = startLagMs;
let lastRead = "";
subscribe(routeChannel.name, (message) => {
  const { command, role, node, reason } = message as RouteMessage;
  if (command === "hgetall") lastRead = `${role} ${node} ${reason}`;
});

const routing = express.Router();
routing.use(readYourWrites(tidemark, { secret: "a secret only this example uses" }));
routing.use((req, res, next) => {
  const isRandom = req.get("Cart-Routing") === "random";
  giveRedis(req, withReadCart(req.redis, isRandom ? randomReader(res) : tidemarkReader(req, res)));
  next();
});

const app = express();
app.get("/lag", (_req, res) => res.json({ ms: lagMs }));
app.post("/lag/:ms", (req, res) => {
  lagMs = Math.min(maxLagMs, Math.max(0, Number(req.params.ms) || 0));
  for (const { link } of group.replicas) link.delay(lagMs);
  res.json({ ms: lagMs });
});
app.get("/tidemark", dashboard(tidemark));
app.use(cartApp(routing));

process.once("SIGINT", stop).once("SIGTERM", stop);

const listener = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1");
await once(listener, "listening");
const address = listener.address();
const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
console.log(`${url}  the cart (Ctrl-C ends it)\n${url}/tidemark  the dashboard`);

/** Reads as Tidemark routes them, and says who answered. The page sends one read at a time, so the latest is this one. */
function tidemarkReader({ redis }: Request, res: Response) {
  return async (key: string) => {
    const cart = await redis.hgetall(key);
    res.set("Answered-By", lastRead);
    return cart;
  };
}

function randomReader(res: Response) {
  return (key: string) => {
    const replica = replicas[Math.floor(Math.random() * replicas.length)];
    if (replica === undefined) throw new Error("there is no replica");
    res.set("Answered-By", `replica ${replica.options.host}:${replica.options.port} random`);
    return replica.hgetall(key);
  };
}

async function stop(): Promise<void> {
  listener.close();
  listener.closeAllConnections();
  await tidemark.close();
  for (const replica of replicas) replica.disconnect();
  await group.stop();
}
