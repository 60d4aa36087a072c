/** Concurrent requests on Express never mix their sessions. */
import { once } from "node:events";
import { Agent, type IncomingMessage } from "node:http";
import { promisify } from "node:util";
import express from "express";
import type { Callback } from "ioredis";
import supertest from "supertest";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { type Session, Tidemark } from "../../src/index.js";
import { serve } from "../support/http/exchange.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { endNamespaces } from "../support/stages/cls-namespace.js";
import { contextKinds } from "../support/stages/contexts.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";

endNamespaces();

const requests = 1_000;
const atOnce = 50;
/** How often each request looks whose the current session is. */
const looks = 11;
const secret = "a secret of this test";

let group: ReplicationGroup;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2, lag: { ms: 20, jitterMs: 10 } });
});

afterAll(() => group?.stop());

/** Each request has a level of its own, by which its session is known again, and writes, reads and reports. */
function appOn(tidemark: Tidemark, current: () => Session | undefined): express.Express {
  const { redis } = tidemark;
  const level = ({ url = "" }: IncomingMessage) => ({ maxStalenessMs: Number(url.slice(1)) + 1 });
  const app = express();
  app.use(readYourWrites(tidemark, { secret, level }), express.json());
  const turn = turnstile();
  app.post("/:id", async (request, response) => {
    const { id } = request.body;
    const key = `request:${id}`;
    let [taken, strays] = [0, 0];
    const look = (): void => {
      taken += 1;
      const { level: own } = request.consistency;
      const isOwn = typeof own === "object" && "maxStalenessMs" in own && own.maxStalenessMs === id + 1;
      if (!isOwn || current() !== request.consistency) strays += 1;
    };
    look();
    await turn();
    look();
    await redis.set(key, "0");
    look();
    await new Promise<void>((resolve) =>
      setTimeout(() => redis.hset(`${key}:hash`, "f", "v", () => resolve()), 1),
    );
    look();
    await redis.multi().incrby(key, id).get(key).exec(look);
    look();
    const scanned = redis.hscanStream(`${key}:hash`).on("data", look);
    await once(scanned, "end");
    look();
    await redis.pipeline().get(key).strlen(key).exec();
    look();
    const value = await promisify((done: Callback<string | null>) => redis.get(key, done))();
    look();
    await request.consistency.settled();
    look();
    const { level: own } = request.consistency;
    const at = typeof own === "object" && "maxStalenessMs" in own ? own.maxStalenessMs : own;
    response.json({ found: `${value} at ${at}, ${strays || "no"} strays in ${taken}` });
  });
  return app;
}

/** Has those who come within one turn of the event loop go on together. */
function turnstile(): () => Promise<void> {
  let opening: Promise<void> | undefined;
  return () => {
    opening ??= new Promise((resolve) => {
      setImmediate(() => {
        opening = undefined;
        resolve();
      });
    });
    return opening;
  };
}

describe.each(contextKinds)("In $kind", ({ open }) => {
  it(`${requests} requests, ${atOnce} at once, never see each other's session`, async () => {
    const context = open();
    const replicas = group.replicas.map(({ server }) => server.url);
    // On a machine that is busy, reads would wait too long for their turn at the primary.
    const fallbackLimit = false;
    await using tidemark = new Tidemark({ primary: group.primary.url, replicas, context, fallbackLimit });
    await replicasAreEligible(tidemark);
    await using listening = await serve(appOn(tidemark, () => context.get()));
    const before = await group.primary.commandCalls("info");
    const strays: unknown[] = [];
    let next = 0;
    const ask = supertest(listening.server);
    const live = async (): Promise<void> => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (let i = next++; i < requests; i = next++) {
        const { status, body } = await ask.post(`/${i}`).agent(agent).send({ id: i });
        if (status !== 200 || body.found !== `${i} at ${i + 1}, no strays in ${looks}`)
          strays.push({ status, body });
      }
      agent.destroy();
    };
    await Promise.all(Array.from({ length: atOnce }, live));
    expect(strays).toEqual([]);
    expect(next).toBeGreaterThanOrEqual(requests);
    // Else no two writes have waited for the same INFO.
    expect((await group.primary.commandCalls("info")) - before).toBeLessThan(4 * requests);
  }, 120_000);
});
