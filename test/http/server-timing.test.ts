/** The `Server-Timing` header: which servers answered the reads of a request, and what its response waited for. */
import express from "express";
import supertest from "supertest";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { cookie, readYourWrites } from "../../src/http/frameworks/express.js";
import { InvalidOptionError, type Tidemark } from "../../src/index.js";
import { type Answered, type Asked, doors, openDoor } from "../support/http/door.js";
import { type Scene, secret } from "../support/http/framework-app.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Writes on demand, then reads two keys, the second one at level strong. */
const handler: Scene["handler"] = async ({ session, query }) => {
  if (query.has("write")) void session.redis.set("key", "value");
  await session.redis.get("key");
  await session.at("strong").get("other");
  return { body: "done" };
};

const timingOf = ({ headers }: Answered): string => String(headers["server-timing"] ?? "");
const fromReplicas = 'tm-replica;desc="1 read from replicas"';
const fromPrimary = 'tm-primary;desc="1 read from the primary: strong"';

describe.each(Object.entries(doors))("On %s", (_name, open) => {
  async function ask(scene: Partial<Scene>, asked?: Asked): Promise<string> {
    await using door = await open(tidemark, { handler, ...scene });
    return timingOf(await door.ask(asked));
  }

  it("there is no header by default", async () => {
    expect(await ask({})).toBe("");
    expect(await ask({ serverTiming: false })).toBe("");
  });

  it("the header shows how many reads servers of each role answered, and why the primary did", async () => {
    const timing = await ask({ serverTiming: true });
    expect(timing.startsWith(`${fromReplicas}, ${fromPrimary}`)).toBe(true);
    for (const { address } of tidemark.topology()) expect(timing).not.toContain(address);
  });

  it('"nodes" shows which servers they were', async () => {
    const timing = await ask({ serverTiming: "nodes" });
    const [primary, ...replicas] = tidemark.topology().map(({ address }) => address);
    expect(timing).toContain(`tm-primary;desc="1 from ${primary}: strong"`);
    const shown = /tm-replica;desc="1 from ([^"]+)"/.exec(timing)?.[1];
    expect(replicas).toContain(shown);
  });

  it("a function decides for each response", async () => {
    let decision = false;
    await using door = await open(tidemark, { handler, serverTiming: () => decision });
    expect(timingOf(await door.ask())).toBe("");
    decision = true;
    expect(timingOf(await door.ask())).toContain(fromPrimary);
  });

  it("a function that throws costs the response nothing but the header, and warns once", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const serverTiming = (): boolean => {
      throw new Error("not today");
    };
    await using door = await open(tidemark, { handler, serverTiming });
    for (let i = 0; i < 2; i++) expect(await door.ask()).toMatchObject({ status: 200, body: "done" });
    const codes = warn.mock.calls.map(([, options]) => Object(options).code);
    expect(codes.filter((code) => code === "TIDEMARK_SERVER_TIMING")).toHaveLength(1);
  });

  it("the header shows how long a read and the response waited", async () => {
    holdReplicas(group);
    const waiting: Scene["handler"] = async ({ session }) => {
      await session.redis.set("key", "value");
      await session.at("session", { waitMs: 20 }).get("key");
      void session.redis.set("key", "other");
      return { body: "done" };
    };
    const timing = await ask({ serverTiming: true, handler: waiting });
    await releaseReplicas(group);
    expect(Number(/tm-wait;desc="[^"]+";dur=([\d.]+)/.exec(timing)?.[1])).toBeGreaterThan(1);
    expect(timing).toMatch(/tm-hold;desc="headers waited for writes";dur=\d+\.\d/);
  });
});

it("the metrics follow those that the app has set, also in a head that was given to writeHead", async () => {
  const middleware = readYourWrites(tidemark, { secret, serverTiming: true });
  await using door = await openDoor((request, response) => {
    middleware(request, response, async () => {
      await Reflect.get(request, "redis").get("key");
      response.writeHead(200, { "Server-Timing": "db;dur=1" }).end("done");
    });
  });
  expect(timingOf(await door.ask())).toMatch(RegExp(`^db;dur=1, ${fromReplicas}`));
});

it("the header shows reads that were rejected", async () => {
  holdReplicas(group);
  onTestFinished(() => releaseReplicas(group));
  const app = express().use(readYourWrites(tidemark, { secret, serverTiming: true, carrier: cookie() }));
  app.get("/", async (req, res) => {
    await req.redis.set("key", "value");
    await req.consistency
      .at("session", { fallback: "error" })
      .get("key")
      .catch(() => {});
    res.send("done");
  });
  const { headers } = await supertest(app).get("/").expect(200);
  expect(headers["server-timing"]).toContain('tm-rejected;desc="1 read rejected"');
});

it("a request that reads nothing gets no header", async () => {
  const app = express().use(readYourWrites(tidemark, { secret, serverTiming: true }));
  app.get("/", (_req, res) => void res.send("done"));
  const { headers } = await supertest(app).get("/").expect(200);
  expect(headers).not.toHaveProperty("server-timing");
});

it.each([["yes"], [1], [null], [{}]])("%j is refused as an option", (serverTiming) => {
  const options = { secret, serverTiming };
  expect(() => Reflect.apply(readYourWrites, undefined, [tidemark, options])).toThrow(InvalidOptionError);
});
