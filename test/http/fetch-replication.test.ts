/** Clients that keep their tokens, with an Express app on real servers: they see their own writes however far replicas lag. */
import express, { type Express } from "express";
import { describe, expect, it } from "vitest";
import { type ConsistentFetch, consistentFetch } from "../../src/http/consistent-fetch.js";
import { header, readYourWrites } from "../../src/http/frameworks/express.js";
import type { Tidemark } from "../../src/index.js";
import { type Listening, serve } from "../support/http/exchange.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

// On a busy machine, reads would wait too long for their turn at the primary.
stageTidemark({ replicas: 2, fallbackLimit: false }, (stage) => {
  ({ group, tidemark } = stage);
});

/** Its answers to writes are held until as many have come as `?among` says, and leave in the opposite order. */
function notes(): Express {
  const app = express();
  app.use(readYourWrites(tidemark, { secret: "a secret of this test", carrier: header() }));
  const written: (() => void)[] = [];
  app.put("/:key/:value", async ({ redis, params, query }, response) => {
    await redis.set(params.key, params.value);
    written.push(() => response.sendStatus(204));
    if (written.length < Number(query.among ?? 1)) return;
    for (const answer of written.splice(0).reverse()) answer();
  });
  app.post("/:key/:value", async ({ redis, params, query }, response) => {
    await redis.set(params.key, params.value);
    response.redirect(Number(query.status), query.to ? String(query.to) : `/${params.key}`);
  });
  app.all(
    "/:key",
    async ({ redis, params }, response) => void response.send(String(await redis.get(params.key))),
  );
  return app;
}

interface Place extends AsyncDisposable {
  readonly origin: string;
  readonly get: ConsistentFetch;
}

async function open(listener: Express = notes()): Promise<Place> {
  const listening: Listening = await serve(listener);
  const origin = `http://127.0.0.1:${listening.port}`;
  return {
    origin,
    get: consistentFetch({ origins: origin }),
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

const read = async (get: typeof fetch, address: string) => (await get(address)).text();

describe("consistentFetch, of an app whose replicas are held back", () => {
  it("reads its own write, while a client without tokens reads the old value", async () => {
    await using place = await open();
    const { origin, get } = place;
    await get(`${origin}/k/old`, { method: "PUT" });
    await group.caughtUp();
    holdReplicas(group);
    await get(`${origin}/k/new`, { method: "PUT" });
    expect(await read(get, `${origin}/k`)).toBe("new");
    expect(await read(consistentFetch({ origins: origin }), `${origin}/k`)).toBe("old");
  });

  it.each([301, 302, 303, 307, 308])(
    "reads the write of a request that was answered with %i",
    async (status) => {
      await using place = await open();
      const { origin, get } = place;
      holdReplicas(group);
      const followed = await get(`${origin}/k/new?status=${status}`, { method: "POST" });
      expect(await followed.text()).toBe("new");
      expect(await read(get, `${origin}/k`)).toBe("new");
    },
  );

  it("reads its write from before a redirect to another origin, which receives no token", async () => {
    const seen: unknown[] = [];
    const abroad = express().use((request, response) => {
      seen.push(request.headers["consistency-token"]);
      response.set("Consistency-Token", "theirs").send("abroad");
    });
    await using place = await open();
    await using other = await open(abroad);
    const { origin, get } = place;
    holdReplicas(group);
    await get(`${origin}/first/1`, { method: "PUT" });
    const away = await get(`${origin}/k/new?status=303&to=${other.origin}`, { method: "POST" });
    expect(await away.text()).toBe("abroad");
    expect(seen).toEqual([undefined]);
    expect(await read(get, `${origin}/k`)).toBe("new");
    expect(await read(get, `${origin}/first`)).toBe("1");
  });

  it("reads all its concurrent writes, even if the answers arrived in another order", async () => {
    await using place = await open();
    const { origin, get } = place;
    await get(`${origin}/before/0`, { method: "PUT" });
    holdReplicas(group);
    const keys = Array.from({ length: 24 }, (_, n) => `k${n}`);
    const among = keys.length;
    await Promise.all(keys.map((key) => get(`${origin}/${key}/${key}?among=${among}`, { method: "PUT" })));
    expect(get.token.split(",")).toHaveLength(among);
    expect(await Promise.all(keys.map((key) => read(get, `${origin}/${key}`)))).toEqual(keys);
    await read(get, `${origin}/before`);
    expect(get.token.split(",").length).toBeLessThan(among);
  });

  it("reads many hundreds of writes, and keeps only a few tokens", async () => {
    await using place = await open();
    const { origin, get } = place;
    holdReplicas(group);
    const keys = Array.from({ length: 400 }, (_, n) => `k${n}`);
    const stored = await Promise.all(keys.map((key) => get(`${origin}/${key}/${key}`, { method: "PUT" })));
    expect(new Set(stored.map(({ status }) => status))).toEqual(new Set([204]));
    expect(await Promise.all(keys.map((key) => read(get, `${origin}/${key}`)))).toEqual(keys);
  });
});

it("never reads an older value while replicas lag and requests of a client overlap", async () => {
  for (const [index, { link }] of group.replicas.entries()) link.delay(40 * (index + 1), 40);
  await using place = await open();
  const { origin, get } = place;
  const trips = Array.from({ length: 6 }, async (_, key) => {
    const seen: string[] = [];
    for (let round = 0; round < 25; round += 1) {
      const [method, path] = round % 2 ? ["POST", `${round}?status=303`] : ["PUT", `${round}`];
      await get(`${origin}/k${key}/${path}`, { method });
      seen.push(await read(get, `${origin}/k${key}`));
    }
    return seen;
  });
  const rounds = Array.from({ length: 25 }, (_, round) => String(round));
  expect(await Promise.all(trips)).toEqual(trips.map(() => rounds));
  for (const { link } of group.replicas) link.delay(0);
});
