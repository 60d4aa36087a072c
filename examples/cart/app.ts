/** A shopping cart in Redis: the handlers use `req.redis` and do not know which server answers. */
import express, { type Express, type RequestHandler } from "express";
import { strong } from "tidemark/express";

/** The cart app behind `routing`, a middleware that gives each request its `req.redis`. */
export function cartApp(routing: RequestHandler): Express {
  const app = express();
  app.use(routing);

  app.post("/cart/:id/:item", async (req, res) => {
    await req.redis.hincrby(`cart:${req.params.id}`, req.params.item, 1);
    res.sendStatus(204);
  });

  app.get("/cart/:id", async (req, res) => {
    res.json(await req.redis.hgetall(`cart:${req.params.id}`));
  });

  app.get("/checkout/:id", strong(), async (req, res) => {
    res.json(await req.redis.hgetall(`cart:${req.params.id}`));
  });

  app.get("/", (_req, res) => res.sendFile("page.html", { root: import.meta.dirname }));
  return app;
}
