/** The example's orders: the worker's process sees what the request wrote, and the user what the worker wrote. */
import { Queue, QueueEvents } from "bullmq";
import supertest from "supertest";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { orderApp } from "../../examples/queue-worker/app.js";
import { type Confirmation, type Order, queueName } from "../../examples/queue-worker/order.js";
import { startWorkerProcess } from "../../examples/queue-worker/worker-process.js";
import { type Listening, serve } from "../support/http/exchange.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { buildIfStale } from "../support/sources/built-package.js";
import { type ExampleStage, stageExample } from "../support/stages/staged-example.js";
import { waitUntil } from "../support/wait-until.js";

// Apps import the package by its name; here that name means the sources, not what was last built.
vi.mock("tidemark", () => import("../../src/index.js"));
vi.mock("tidemark/express", () => import("../../src/http/frameworks/express.js"));

let stage: ExampleStage;
let worker: AsyncDisposable | undefined;
let queue: Queue<Order, Confirmation>;
let events: QueueEvents;
let listening: Listening;

// But not in the worker's process.
beforeAll(buildIfStale);

stageExample((entered) => {
  stage = entered;
});

beforeEach(async () => {
  const { group, tidemark } = stage;
  worker ??= await startWorkerProcess({
    primary: group.primary.url,
    replicas: group.replicas.map(({ server }) => server.url),
  });
  queue = new Queue(queueName, { connection: tidemark.redis });
  events = new QueueEvents(queueName, { connection: { url: group.primary.url } });
  await events.waitUntilReady();
  listening = await serve(orderApp(tidemark, "a secret of this test", { queue, events }));
});

afterEach(async () => {
  await listening[Symbol.asyncDispose]();
  await events.close();
  await queue.close();
});

afterAll(() => worker?.[Symbol.asyncDispose]());

it("lets the worker see the order of a job right after the request, while no replica has the order", async () => {
  const browser = supertest.agent(`http://127.0.0.1:${listening.port}`);
  holdReplicas(stage.group);
  for (const id of ["1", "2", "3", "4", "5"]) {
    await browser.post(`/orders/${id}/tea`).expect(202);
    const { body } = await browser.get(`/orders/${id}/confirmed`).expect(200);
    expect(body).toEqual({ item: "tea", state: "confirmed" });
  }
});

it("shows the user the worker's write, while replicas have only the user's own", async () => {
  const browser = supertest.agent(`http://127.0.0.1:${listening.port}`);
  await queue.pause();
  await browser.post("/orders/6/tea").expect(202);
  const confirmed = browser.get("/orders/6/confirmed").then(({ body }) => body);
  await waitUntil(() => events.listenerCount("completed:order-6" as "completed") > 0, {
    what: "the app waits for the job",
  });
  await stage.group.caughtUp();
  holdReplicas(stage.group);
  await queue.resume();
  expect(await confirmed).toEqual({ item: "tea", state: "confirmed" });
});
