/** An import that writes while its response streams the progress. The last server-sent event carries the token. */
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
      await req.redis.rpush(key, name); // all but the first happen after the headers were sent
      res.write(`event: imported\ndata: ${name}\n\n`);
    }
    res.end(`event: done\ndata: ${req.consistency.sealed()}\n\n`); // the page sends it as Consistency-Token from now on
  });

  app.get("/imported", async (req, res) => {
    res.json(await req.redis.lrange(key, 0, -1));
  });
  return app;
}
