/** A user orders something. A worker in another process confirms the order before replicas have it. */
import { Queue, QueueEvents } from "bullmq";
import supertest from "supertest";
import { Tidemark } from "tidemark";
import { serve } from "../../test/support/http/exchange.js";
import { replicasAnswer, startServers } from "../servers.js";
import { show } from "../show.js";
import { orderApp } from "./app.js";
import { type Confirmation, type Order, queueName } from "./order.js";
import { startWorkerProcess } from "./worker-process.js";

await using servers = await startServers();
await using tidemark = new Tidemark(servers);
await replicasAnswer(tidemark);
await using _worker = await startWorkerProcess(servers);

const queue = new Queue<Order, Confirmation>(queueName, { connection: tidemark.redis });
const events = new QueueEvents(queueName, { connection: { url: servers.primary } }); // a connection of its own
await using listening = await serve(orderApp(tidemark, "a secret of this example", { queue, events }));

const browser = supertest.agent(`http://127.0.0.1:${listening.port}`);
await browser.post("/orders/1/tea").expect(202);
const { body: order } = await browser.get("/orders/1/confirmed");
const job = await queue.getJob("order-1");
show("a worker that is given the token finds what was ordered", job?.returnvalue.item, "tea");
show("the user sees what the worker wrote", order, { item: "tea", state: "confirmed" });

await browser.post("/orders/2/tea").expect(202);
const forgetful = await queue.add("confirm", { order: "2", consistency: "" });
show("a worker that is given none finds that nothing was", (await forgetful.waitUntilFinished(events)).item);

await events.close();
await queue.close();
