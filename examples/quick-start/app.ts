/** The smallest app: it adds to a cart on the primary, and reads the cart from replicas. */
import express from "express";
import { Tidemark } from "tidemark";
import { readYourWrites, strong } from "tidemark/express";

const {
  PRIMARY = "redis://127.0.0.1:6379",
  REPLICAS = "redis://127.0.0.1:6380",
  TIDEMARK_SECRET,
} = process.env;

const tidemark = new Tidemark({ primary: PRIMARY, replicas: REPLICAS.split(",") });

const app = express();
app.use(readYourWrites(tidemark, { secret: TIDEMARK_SECRET })); // first, before other middleware

app.post("/cart/:id/:item", async (req, res) => {
  await req.redis.hincrby(`cart:${req.params.id}`, req.params.item, 1);
  res.sendStatus(204);
});
app.get("/cart/:id", async (req, res) => {
  res.json(await req.redis.hgetall(`cart:${req.params.id}`)); // from a replica, and never without the user's own item
});
app.get("/checkout/:id", strong(), async (req, res) => {
  res.json(await req.redis.hgetall(`cart:${req.params.id}`)); // this route reads from the primary
});

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => console.log("listening"));

process.once("SIGTERM", async () => {
  server.close();
  await tidemark.close();
});
