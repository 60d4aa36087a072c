/** The stock service, a Koa app. A header brings a token with each request, and another takes one back. */
import Router from "@koa/router";
import Koa from "koa";
import type { Tidemark } from "tidemark";
import { header, readYourWrites } from "tidemark/koa";

export function stockApp(tidemark: Tidemark, secret: string): Koa {
  const app = new Koa();
  app.use(readYourWrites(tidemark, { secret, carrier: header() }));

  const router = new Router();
  router.post("/reservations/:id", async (ctx) => {
    const order = `order:${ctx.params.id}`;
    if ((await ctx.redis.hget(order, "item")) === null) return ctx.throw(404);
    await ctx.redis.hset(order, { reserved: "yes" });
    ctx.status = 204;
  });
  app.use(router.routes());
  return app;
}
