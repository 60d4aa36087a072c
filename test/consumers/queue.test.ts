/** BullMQ with the app's ioredis or with its own, and Bull: queues and workers on a Tidemark client. */
import { createRequire } from "node:module";
import Bull, { type Job } from "bull";
import * as bullmq6 from "bullmq";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";
import { RandomReplicas } from "./support/random-replicas.js";
import { countServed } from "./support/served.js";

const bullmq5: typeof bullmq6 = createRequire(import.meta.url)("bullmq5");

const numbers = Array.from({ length: 50 }, (_, i) => i);

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

beforeEach(async () => {
  // A worker waits for as long as it takes, and refuses a client that would give up.
  tidemark = openTidemark(group, { redis: { maxRetriesPerRequest: null } });
  await replicasAreEligible(tidemark);
});

afterEach(async () => {
  await tidemark.close();
  for (const { link } of group.replicas) link.delay(0);
  await releaseReplicas(group);
});

afterAll(() => group.stop());

/** The last command that each connection of the primary waits for or has sent. */
async function connectionsToPrimary(): Promise<string[]> {
  const list = String(await group.primary.admin().client("LIST"));
  return list
    .trim()
    .split("\n")
    .map((line) => /cmd=(\S+)/.exec(line)?.[1] ?? "");
}

describe.each([
  ["BullMQ 6, whose ioredis is the app's", bullmq6],
  ["BullMQ 5, whose ioredis is its own", bullmq5],
])("%s", (name, { Queue, QueueEvents, Worker }) => {
  const queueOn = (connection: Redis, topic: string) => new Queue(`${name} ${topic}`, { connection });

  it("processes 50 jobs and returns their results over replicas 50 ms behind, then closes", async () => {
    const connection = tidemark.redis;
    const before = (await connectionsToPrimary()).length;
    for (const { link } of group.replicas) link.delay(50);
    const queue = queueOn(connection, "jobs");
    const events = new QueueEvents(queue.name, { connection });
    const worker = new Worker(queue.name, async ({ data }) => data * 2, { connection, concurrency: 10 });
    const errors: Error[] = [];
    const note = (error: Error): number => errors.push(error);
    queue.on("error", note);
    events.on("error", note);
    worker.on("error", note);
    // Each result that is waited for listens to the queue.
    queue.setMaxListeners(numbers.length);
    await Promise.all([queue, events, worker].map((one) => one.waitUntilReady()));

    const jobs = await tidemark.run(tidemark.session(), () =>
      queue.addBulk(numbers.map((data) => ({ name: "double", data }))),
    );
    const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
    expect(results).toEqual(numbers.map((data) => data * 2));

    // On the shared connection both would hold up all the rest of the app.
    await waitUntil(
      async () => {
        const waiting = await connectionsToPrimary();
        return waiting.includes("bzpopmin") && waiting.includes("xread");
      },
      { what: "the worker and the events block on dedicated connections" },
    );
    expect(await connection.ping()).toBe("PONG");

    await Promise.all([worker.close(), events.close(), queue.close()]);
    await waitUntil(async () => (await connectionsToPrimary()).length === before, {
      what: "their connections are closed",
    });
    expect(await connection.ping()).toBe("PONG");
    expect(errors).toEqual([]);
  });

  it("can be created before there is a connection", async () => {
    await using early = openTidemark(group, { redis: { maxRetriesPerRequest: null } });
    const [queue, worker] = [
      queueOn(early.redis, "early"),
      new Worker(`${name} early`, async () => "done", { connection: early.redis }),
    ];
    const done = new Promise((resolve) => worker.on("completed", (_job, result) => resolve(result)));
    await queue.add("any", 1);
    expect(await done).toBe("done");
    await Promise.all([worker.close(), queue.close()]);
  });

  it("on a client that reads from a random replica does not find the job it has just added", async () => {
    using client = new RandomReplicas(group);
    const queue = queueOn(client, "random");
    await queue.waitUntilReady();
    holdReplicas(group);
    const added = await queue.add("double", 1);
    expect(await queue.getJob(String(added.id))).toBeUndefined();
    await queue.close();
  });

  it("shows a session its own jobs, and their states", async () => {
    const queue = queueOn(tidemark.redis, "own");
    await queue.waitUntilReady();
    holdReplicas(group);
    await tidemark.run(tidemark.session(), async () => {
      const added = await queue.add("double", 1);
      const job = await queue.getJob(String(added.id));
      expect(job).toMatchObject({ name: "double", data: 1 });
      expect(await job?.getState()).toBe("waiting");
      await job?.updateData(2);
      expect(await queue.getJob(String(added.id))).toMatchObject({ data: 2 });
      await job?.remove();
      expect(await queue.getJob(String(added.id))).toBeUndefined();
    });
    await queue.close();
  });

  it("reads jobs from replicas once they have the jobs", async () => {
    const queue = queueOn(tidemark.redis, "served");
    const session = tidemark.session();
    const jobs = await tidemark.run(session, () =>
      queue.addBulk(numbers.map((data) => ({ name: "double", data }))),
    );
    await waitUntil(
      async () => {
        await group.caughtUp();
        const served = await countServed(group);
        const found = await tidemark.run(session, () =>
          Promise.all(jobs.map(({ id }) => queue.getJob(String(id)))),
        );
        expect(found.map((job) => job?.data)).toEqual(numbers);
        const { primary, replicas } = await served("hgetall");
        return primary === 0 && replicas >= numbers.length;
      },
      { what: "replicas serve the jobs" },
    );
    await queue.close();
  });
});

describe("Bull 4", () => {
  const duplicates: Redis[] = [];

  afterEach(() => {
    for (const duplicate of duplicates.splice(0)) duplicate.disconnect();
  });

  /** Bull closes only the connections that it has made itself, and wants those it blocks on to try for ever. */
  function bullOn(client: Redis, topic: string): Bull.Queue<{ number: number }> {
    const createClient = (type: "client" | "subscriber" | "bclient"): Redis => {
      if (type === "client") return client;
      const duplicate = client.duplicate({ enableReadyCheck: false, maxRetriesPerRequest: null });
      duplicates.push(duplicate);
      return duplicate;
    };
    return Reflect.construct(Bull, [topic, { createClient }]);
  }

  it("processes 50 jobs and reports their results over replicas 50 ms behind", async () => {
    for (const { link } of group.replicas) link.delay(50);
    const queue = bullOn(tidemark.redis, "bull jobs");
    const results = new Map<string, string>();
    queue.on("global:completed", (id: string, result: string) => results.set(id, result));
    queue.process(10, async ({ data }: Job<{ number: number }>) => data.number * 2);
    const jobs = await tidemark.run(tidemark.session(), () =>
      queue.addBulk(numbers.map((number) => ({ data: { number } }))),
    );
    await waitUntil(() => results.size === jobs.length, { what: "all jobs are done" });
    expect(jobs.map(({ id }) => Number(results.get(String(id))))).toEqual(
      numbers.map((number) => number * 2),
    );
    await queue.close();
  });

  it("shows a session its own job, and the job's result", async () => {
    const queue = bullOn(tidemark.redis, "bull own");
    await queue.isReady();
    holdReplicas(group);
    await tidemark.run(tidemark.session(), async () => {
      const added = await queue.add({ number: 1 });
      const job = await queue.getJob(added.id);
      expect(job).toMatchObject({ data: { number: 1 } });
      expect(await job?.getState()).toBe("waiting");
      await job?.remove();
      expect(await queue.getJob(added.id)).toBeNull();
    });
    await queue.close();
  });
});
