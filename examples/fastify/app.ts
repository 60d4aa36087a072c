/** A shopping cart on Fastify: the handlers use `request.redis` and do not know which server answers. */
import fastify, { type FastifyInstance } from "fastify";
import type { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/fastify";

interface Cart {
  readonly Params: { readonly id: string; readonly item: string };
}

export async function cartApp(tidemark: Tidemark, secret: string): Promise<FastifyInstance> {
  const app = fastify();
  await app.register(readYourWrites, { tidemark, secret }); // first, before other plugins

  app.post<Cart>("/cart/:id/:item", async ({ redis, params }, reply) => {
    await redis.hincrby(`cart:${params.id}`, params.item, 1);
    return reply.code(204).send();
  });
  app.get<Cart>("/cart/:id", ({ redis, params }) => redis.hgetall(`cart:${params.id}`));
  app.get<Cart>("/checkout/:id", { config: { consistency: "strong" } }, ({ redis, params }) =>
    redis.hgetall(`cart:${params.id}`),
  );
  return app;
}
