/** Every way to answer a request, on every kind of server the middleware is made for. */
import { createReadStream } from "node:fs";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import express5, { type Response } from "express";

const express4: typeof express5 = createRequire(import.meta.url)("express4");
const thisFile = fileURLToPath(import.meta.url);

export const expresses: Readonly<Record<string, typeof express5>> = {
  "Express 4": express4,
  "Express 5": express5,
};

export type Next = (error?: unknown) => void;
export type Handler = (request: IncomingMessage, response: ServerResponse, next: Next) => void;

/** Makes a server's listener of middleware and the handler behind it. */
export type Host = (middleware: readonly Handler[], handler: Handler) => RequestListener;

const plain: Host = (middleware, handler) => (request, response) => {
  const run = ([first, ...rest]: readonly Handler[]): void => first?.(request, response, () => run(rest));
  run([...middleware, handler]);
};

const onExpress =
  (express: typeof express5): Host =>
  (middleware, handler) => {
    const app = express().set("env", "test");
    for (const each of [...middleware, handler]) app.use(each);
    return app;
  };

export const hosts: Readonly<Record<string, Host>> = {
  "node:http": plain,
  "Express 4": onExpress(express4),
  "Express 5": onExpress(express5),
};

/** Replies that Node alone can make. */
export const replies: Readonly<Record<string, (response: ServerResponse, next: Next) => void>> = {
  "end with a text": (response) => response.end("a body"),
  "end with bytes": (response) => response.end(Buffer.from("a body")),
  "end with a latin1 text": (response) => response.end("\u00e9t\u00e9", "latin1"),
  "end without a body": (response) => response.end(),
  "end with a callback alone": (response) => response.end(() => {}),
  "write and end": (response) => {
    response.write("a ");
    response.write("body", "utf8", () => {});
    response.end();
  },
  "writeHead with headers": (response) => {
    response.setHeader("Set-Cookie", "mine=1");
    response.writeHead(201, { "Content-Type": "text/plain", "X-Numbers": ["1", "2"] }).end("a body");
  },
  "writeHead with cookies": (response) =>
    response.writeHead(200, { "set-cookie": ["a=1", "b=2"] }).end("a body"),
  "writeHead with a message": (response) => response.writeHead(418, "Short", { "X-A": "1" }).end("a body"),
  "writeHead with a list": (response) =>
    response.writeHead(200, ["X-A", "1", "Set-Cookie", "a=1"]).end("a body"),
  "writeHead with a length": (response) => response.writeHead(200, { "Content-Length": 6 }).end("a body"),
  "flushHeaders first": (response) => {
    response.flushHeaders();
    response.end("a body");
  },
  "a piped stream": (response) => createReadStream(thisFile, { highWaterMark: 100 }).pipe(response),
  "204": (response) => response.writeHead(204).end(),
  "304": (response) => {
    response.statusCode = 304;
    response.end();
  },
};

/** Replies that Express makes. */
export const expressReplies: Readonly<Record<string, (response: Response, next: Next) => void>> = {
  send: (response) => response.send("a body"),
  json: (response) => response.json({ long: "text ".repeat(1000) }),
  sendStatus: (response) => response.sendStatus(202),
  redirect: (response) => response.redirect("/login"),
  sendFile: (response) => response.sendFile(thisFile),
  cookie: (response) => response.cookie("mine", "1").send("a body"),
  "next(error)": (_response, next) => next(Object.assign(new Error("no"), { status: 409, stack: "no" })),
  "a thrown error": () => {
    throw Object.assign(new Error("no"), { status: 410, stack: "no" });
  },
};

/** A host of Express, whose handler is given what Express makes of a response. */
export const expressHosts: Readonly<
  Record<
    string,
    (middleware: readonly Handler[], reply: (response: Response, next: Next) => void) => RequestListener
  >
> = Object.fromEntries(
  Object.entries(expresses).map(([name, express]) => [
    name,
    (middleware, reply) => {
      const app = express().set("env", "test");
      for (const each of middleware) app.use(each);
      return app.use((_request, response, next) => reply(response, next));
    },
  ]),
);
