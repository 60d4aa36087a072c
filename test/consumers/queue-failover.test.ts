/** BullMQ's own classes continue when the primary is killed or hands over, in every deployment. */
import { createRequire } from "node:module";
import * as bullmq6 from "bullmq";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { hasDoublings } from "../support/doublings.js";
import { type Deployment, deployments } from "../support/servers/deployment.js";
import { waitUntil } from "../support/wait-until.js";

const bullmq5: typeof bullmq6 = createRequire(import.meta.url)("bullmq5");

const libraries = [
  ["BullMQ 6", bullmq6],
  ["BullMQ 5", bullmq5],
] as const;
const faults = ["killed", "frozen", "demoted"] as const;
/** One that brings its own ioredis differs by that alone. */
const cases = libraries.flatMap(([name, library]) =>
  faults
    // That connections are lost is one thing for BullMQ, however the primary goes.
    .filter((fault) => fault === "killed" || (hasDoublings && name === "BullMQ 6"))
    .filter(() => hasDoublings || name === "BullMQ 6")
    .map((fault) => [name, fault, library] as const),
);

// Each deployment mostly waits for its next primary, so they take their turns side by side.
describe.concurrent.each(Object.entries(deployments))("on %s", (_name, start) => {
  let deployment: Deployment;
  let tidemark: Tidemark;

  beforeEach(async () => {
    deployment = await start();
    tidemark = deployment.open({ redis: { maxRetriesPerRequest: null } });
    await tidemark.ready();
  });

  afterEach(async () => {
    await tidemark.close();
    await deployment.stop();
  });

  it.sequential.each(cases)(
    "%s processes its jobs when the primary is %s",
    async (_library, fault, { Queue, QueueEvents, Worker, FlowProducer }) => {
      const connection = tidemark.redis;
      // In a cluster all keys of a queue have to be in one slot.
      const [name, prefix] = ["jobs", deployment.key("bull")];
      const options = { connection, prefix };
      const queue = new Queue(name, options);
      // From the start of the stream: with the default, events before the first answered XREAD are never heard.
      const events = new QueueEvents(name, { ...options, lastEventId: "0" });
      const flows = new FlowProducer(options);
      const worked: string[] = [];
      const heard: string[] = [];
      const work = async ({ name: job }: { name: string }) => {
        worked.push(job);
      };
      // So that a job whose worker lost its connection is found soon.
      const worker = new Worker(name, work, {
        ...options,
        stalledInterval: 500,
        lockDuration: 1_000,
        maxStalledCount: 20,
        drainDelay: 1,
      });
      const errors: string[] = [];
      const note = ({ message }: Error): number => errors.push(message);
      queue.on("error", note);
      events.on("error", note);
      worker.on("error", note);
      flows.on("error", note);
      events.on("completed", ({ jobId }) => heard.push(jobId));
      await Promise.all([queue, events, worker].map((one) => one.waitUntilReady()));
      const isWorked = (job: string) =>
        waitUntil(() => worked.includes(job), { what: `${job} is processed`, timeoutMs: 20_000 });
      await queue.add("before", {});
      await isWorked("before");

      if (fault === "killed") await (await deployment.primary()).kill();
      if (fault === "frozen") await deployment.freeze();
      // What was given while it was dead may have been carried out or not: BullMQ is told, and the app adds it again.
      const during = Array.from({ length: 5 }, (_, i) =>
        queue.add(`during ${i}`, {}).catch(({ message }) => message),
      );
      await (fault === "demoted" ? deployment.demote() : deployment.promoted());
      await Promise.all(during);

      for (let i = 0; i < 5; i++) await queue.add(`after ${i}`, {});
      await flows.add({
        name: "parent",
        queueName: name,
        prefix,
        children: [{ name: "child", queueName: name, prefix }],
      });
      for (const job of ["after 0", "after 4", "child", "parent"]) await isWorked(job);
      await waitUntil(() => heard.length > 5, { what: "events arrive again", timeoutMs: 20_000 });
      expect(errors.filter((message) => message.includes("READONLY") || message.includes("MOVED"))).toEqual(
        [],
      );
      await Promise.all([worker.close(), events.close(), queue.close(), flows.close()]);
    },
  );
});
