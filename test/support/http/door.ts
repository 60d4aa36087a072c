/** A way into an app: over a connection, or by the framework's own `inject`. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from "node:http";
import supertest from "supertest";
import type { SessionSource } from "../../../src/http/request-session.js";
import type { Scene } from "./framework-app.js";
import { fastifyApp, frameworks } from "./frameworks.js";

export interface Asked {
  readonly method?: "GET" | "POST" | "HEAD";
  /** The part of the URL after the `?`. */
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Door extends AsyncDisposable {
  ask(asked?: Asked): Promise<Answered>;
  /** Behind which the app listens, where it does. */
  readonly server?: Server;
}

export type Opener = (source: SessionSource, scene: Scene) => Promise<Door>;

const plain = { "Content-Type": "text/plain" };

/** Into whatever answers by `listener`. */
export async function openDoor(listener: RequestListener): Promise<Door> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    server,
    ask: ({ method = "GET", query = "", headers = {}, body } = {}) =>
      askThrough(server, method, query, headers, body),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** By the name of the framework; all that are listened through. */
export const listening: Readonly<Record<string, Opener>> = Object.fromEntries(
  Object.entries(frameworks).map(([name, framework]) => [
    name,
    async (source: SessionSource, scene: Scene) => openDoor(await framework(source, scene)),
  ]),
);

/** By name; all there are. */
export const doors: Readonly<Record<string, Opener>> = {
  ...listening,
  "Fastify, by inject": async (source, scene) => {
    const app = await fastifyApp(source, scene);
    return {
      ask: async ({ method = "GET", query = "", headers = {}, body } = {}) => {
        const withType = body === undefined ? headers : { ...plain, ...headers };
        const injected = await app.inject({ method, url: `/?${query}`, headers: withType, payload: body });
        // Node's types know no numbers in heads.
        const heads = Object.entries(injected.headers).map(([name, value]) => [
          name,
          typeof value === "number" ? String(value) : value,
        ]);
        return { status: injected.statusCode, headers: Object.fromEntries(heads), body: injected.body };
      },
      [Symbol.asyncDispose]: () => app.close(),
    };
  },
};

async function askThrough(
  server: Server,
  method: "GET" | "POST" | "HEAD",
  query: string,
  headers: Readonly<Record<string, string>>,
  body: string | undefined,
): Promise<Answered> {
  const agent = supertest(server);
  const path = `/?${query}`;
  const test = { GET: () => agent.get(path), POST: () => agent.post(path), HEAD: () => agent.head(path) }[
    method
  ]();
  const sent = test.redirects(0).set(body === undefined ? headers : { ...plain, ...headers });
  const answer = await (body === undefined ? sent : sent.send(body));
  return { status: answer.status, headers: answer.headers, body: answer.text ?? "" };
}
