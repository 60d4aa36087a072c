/** An import that writes while it streams its progress: its token is the last server-sent event. */
import express, { type Express } from "express";
import type { Tidemark } from "tidemark";
import { cookie, header, readYourWrites } from "tidemark/express";

const key = "imported";

export function importApp(tidemark: Tidemark, secret: string): Express {
  const app = express();
  app.use(readYourWrites(tidemark, { secret, carrier: [cookie(), header()] }));

  app.get("/import/:names", async (req, res) => {
    res.type("text/event-stream");
    for (const name of req.params.names.split(",")) {
      await req.redis.rpush(key, name); // all but the first after the head has left, with the first event
      res.write(`event: imported\ndata: ${name}\n\n`);
    }
    res.end(`event: done\ndata: ${req.consistency.sealed()}\n\n`); // which the page sends as Consistency-Token from now on
  });

  app.get("/imported", async (req, res) => {
    res.json(await req.redis.lrange(key, 0, -1));
  });
  return app;
}
