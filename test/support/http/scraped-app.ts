/** A process of an app as Prometheus sees it: Express, users who write and read, and `/metrics`. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express, { type Express } from "express";
import { header } from "../../../src/http/carriers/header.js";
import { type ConsistentFetch, consistentFetch } from "../../../src/http/consistent-fetch.js";
import { readYourWrites } from "../../../src/http/frameworks/express.js";
import type { Tidemark } from "../../../src/index.js";

const secret = "a secret of this test";
const requestEveryMs = 50;
/** Each user writes once in so many requests. */
const requestsPerWrite = 8;
const userCount = 4;

export interface Traffic {
  /** Users read what they have written themselves, or what nobody writes. */
  readonly reads: "own" | "others";
}

export class ScrapedApp implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #makeTidemark: () => Tidemark;
  readonly #users: readonly ConsistentFetch[];
  readonly #pending = new Set<Promise<void>>();
  #tidemark: Tidemark;
  #handler: Express;
  #timer: NodeJS.Timeout | undefined;
  #requests = 0;

  /** Resolves once it listens. Without `traffic` it serves only those who ask by hand. */
  static async start(makeTidemark: () => Tidemark, traffic?: Traffic): Promise<ScrapedApp> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const app = new ScrapedApp(server, makeTidemark);
    if (traffic !== undefined) app.#timer = setInterval(() => app.#turn(traffic), requestEveryMs);
    return app;
  }

  private constructor(server: Server, makeTidemark: () => Tidemark) {
    this.#server = server;
    this.#makeTidemark = makeTidemark;
    const address = server.address() as AddressInfo;
    this.port = address.port;
    const origins = `http://127.0.0.1:${this.port}`;
    this.#users = Array.from({ length: userCount }, () => consistentFetch({ origins }));
    this.#tidemark = makeTidemark();
    this.#handler = handlerOf(this.#tidemark);
    server.on("request", (request, response) => this.#handler(request, response));
  }

  get tidemark(): Tidemark {
    return this.#tidemark;
  }

  /** Goes on as a new process at the same address, which has counted nothing yet. */
  async replace(): Promise<void> {
    const old = this.#tidemark;
    this.#tidemark = this.#makeTidemark();
    this.#handler = handlerOf(this.#tidemark);
    await old.close();
  }

  /** One user sends a request. */
  async ask(method: "GET" | "POST", path: string, user = 0): Promise<number> {
    const response = await this.#users[user]?.(`http://127.0.0.1:${this.port}${path}`, { method });
    await response?.text();
    return response?.status ?? 0;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#tidemark.close({ timeoutMs: 100 });
    await Promise.all(this.#pending);
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #turn({ reads }: Traffic): void {
    const turn = this.#requests++;
    const user = turn % userCount;
    const writes = Math.floor(turn / userCount) % requestsPerWrite === 0;
    const path = reads === "own" || writes ? `/notes/${user}` : "/notes/of-nobody";
    // A fault may leave a request unanswered or fail it, as it does for users.
    const request = this.ask(writes ? "POST" : "GET", path, user).then(
      () => {},
      () => {},
    );
    this.#pending.add(request);
    request.then(() => this.#pending.delete(request));
  }
}

function handlerOf(tidemark: Tidemark): Express {
  const app = express().set("env", "test");
  app.get("/metrics", (_request, response) => {
    response.type("text/plain; version=0.0.4; charset=utf-8").send(tidemark.prometheus());
  });
  app.use(readYourWrites(tidemark, { secret, carrier: header() }));
  app.post("/notes/:id", ({ redis, params }, response, next) => {
    redis.set(`note:${params.id}`, "text").then(() => response.sendStatus(204), next);
  });
  app.get("/notes/:id", ({ redis, params }, response, next) => {
    redis.get(`note:${params.id}`).then((note) => response.json({ note }), next);
  });
  app.post("/unawaited", ({ redis }, response) => {
    redis.set("note:unawaited", "text").catch(() => {});
    response.sendStatus(204);
  });
  app.post("/late", ({ redis }, response) => {
    response.sendStatus(204);
    redis.set("note:late", "text").catch(() => {});
  });
  return app;
}
