/** The shop, an Express app. It takes an order and asks the stock service to reserve the item. */
import express, { type Express } from "express";
import type { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/express";

const tokenHeader = "Consistency-Token";

export interface ShopOptions {
  readonly secret: string;
  /** URL of the stock service. */
  readonly stock: string;
}

export function shopApp(tidemark: Tidemark, { secret, stock }: ShopOptions): Express {
  const app = express();
  app.use(readYourWrites(tidemark, { secret }));

  app.post("/orders/:id/:item", async (req, res) => {
    const { id, item } = req.params;
    await req.redis.hset(`order:${id}`, { item });
    const answer = await fetch(`${stock}/reservations/${id}`, {
      method: "POST",
      headers: { [tokenHeader]: req.consistency.sealed() }, // so that the stock service sees the order
    });
    req.consistency.addSealed(answer.headers.get(tokenHeader)); // so that this user sees the reservation
    res.sendStatus(answer.status);
  });

  app.get("/orders/:id", async (req, res) => {
    res.json(await req.redis.hgetall(`order:${req.params.id}`));
  });
  return app;
}
