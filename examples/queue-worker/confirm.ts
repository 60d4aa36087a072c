/** The worker's job. It reads the order that the request wrote, from a replica if one has it. */
import { type Processor, Worker } from "bullmq";
import type { Tidemark } from "tidemark";
import { type Confirmation, type Order, queueName } from "./order.js";

export function startWorker(tidemark: Tidemark): Worker<Order, Confirmation> {
  const confirm: Processor<Order, Confirmation> = async ({ data: { order, consistency } }) => {
    const session = tidemark.session({ token: consistency });
    return tidemark.run(session, async () => {
      const item = await tidemark.redis.hget(`order:${order}`, "item");
      if (item !== null) await tidemark.redis.hset(`order:${order}`, { state: "confirmed" });
      return { item, consistency: session.token() };
    });
  };
  return new Worker(queueName, confirm, { connection: tidemark.redis });
}
