/** Takes orders that a worker in another process confirms. The job carries the user's token, and its result brings a token back. */
import type { Queue, QueueEvents } from "bullmq";
import express, { type Express } from "express";
import type { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/express";
import type { Confirmation, Order } from "./order.js";

export interface Jobs {
  readonly queue: Queue<Order, Confirmation>;
  readonly events: QueueEvents;
}

export function orderApp(tidemark: Tidemark, secret: string, { queue, events }: Jobs): Express {
  const app = express();
  app.use(readYourWrites(tidemark, { secret }));

  app.post("/orders/:id/:item", async (req, res) => {
    const { id, item } = req.params;
    await req.redis.hset(`order:${id}`, { item });
    await queue.add("confirm", { order: id, consistency: req.consistency.token() }, { jobId: `order-${id}` });
    res.sendStatus(202);
  });

  app.get("/orders/:id/confirmed", async (req, res) => {
    const job = await queue.getJob(`order-${req.params.id}`);
    const confirmation = await job?.waitUntilFinished(events);
    if (confirmation === undefined) return void res.sendStatus(404);
    req.consistency.add(confirmation.consistency); // from here on this user sees what the worker wrote
    res.json(await req.redis.hgetall(`order:${req.params.id}`));
  });
  return app;
}
