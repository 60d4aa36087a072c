/** A shopping cart on Koa: the handlers use `ctx.redis` and do not know which server answers. */
import Router from "@koa/router";
import Koa from "koa";
import type { Tidemark } from "tidemark";
import { readYourWrites, strong } from "tidemark/koa";

export function cartApp(tidemark: Tidemark, secret: string): Koa {
  const app = new Koa();
  app.use(readYourWrites(tidemark, { secret })); // first, before other middleware

  const router = new Router();
  router.post("/cart/:id/:item", async (ctx) => {
    const { id, item = "" } = ctx.params;
    await ctx.redis.hincrby(`cart:${id}`, item, 1);
    ctx.status = 204;
  });
  router.get("/cart/:id", async (ctx) => {
    ctx.body = await ctx.redis.hgetall(`cart:${ctx.params.id}`);
  });
  router.get("/checkout/:id", strong(), async (ctx) => {
    ctx.body = await ctx.redis.hgetall(`cart:${ctx.params.id}`);
  });
  app.use(router.routes());
  return app;
}
