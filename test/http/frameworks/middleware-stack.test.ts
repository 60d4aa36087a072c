/** The middleware together with other middleware that takes over responses. */
import type { ServerResponse } from "node:http";
import compression from "compression";
import type { Response } from "express";
import session, { MemoryStore, type SessionData } from "express-session";
import { describe, expect, it } from "vitest";
import { readYourWrites } from "../../../src/http/frameworks/express.js";
import type { Session } from "../../../src/session/session.js";
import { type Answer, ask, exchange, serve } from "../../support/http/exchange.js";
import {
  expressHosts,
  expressReplies,
  type Handler,
  type Next,
  replies,
} from "../../support/http/replies.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";
import { waitUntil } from "../../support/wait-until.js";

const secret = "a secret of this test";
const gzip = { headers: { "Accept-Encoding": "gzip" } };

/** Keeps sessions as a Redis store does: its SET is a write of the request, acknowledged when the test says so. */
class SlowStore extends MemoryStore {
  readonly acknowledge: (() => void)[] = [];
  readonly #sessions: HandMadeSessions;

  constructor(sessions: HandMadeSessions) {
    super();
    this.#sessions = sessions;
  }

  override set(sid: string, data: SessionData, done?: (error?: unknown) => void): void {
    const current: Session | undefined = this.#sessions.current;
    startWrite(current);
    this.acknowledge.push(() => {
      super.set(sid, data, (error) => {
        if (current) endWrite(current, 7);
        done?.(error);
      });
    });
  }
}

type Layer = "ours" | "compression" | "session";

/** Middleware in the order given; `store` is where express-session keeps its sessions. */
function stack(layers: readonly Layer[], sessions: HandMadeSessions, store = new MemoryStore()): Handler[] {
  const made: Record<Layer, () => Handler> = {
    ours: () => readYourWrites(sessions, { secret }),
    compression: () => asHandler(compression({ threshold: 0 })),
    session: () => asHandler(session({ secret, store, resave: false, saveUninitialized: true })),
  };
  return layers.map((layer) => made[layer]());
}

/** Express alone may mount these, and `expressHosts` is Express. */
function asHandler(middleware: unknown): Handler {
  return (request, response, next) => {
    if (typeof middleware === "function") middleware(request, response, next);
  };
}

/** Without what differs from run to run; `framed`: with what says where the body ends. */
function comparable({ headers, ...rest }: Answer, framed: boolean): unknown {
  const { date: _date, "cache-control": caching, "set-cookie": cookies = [], ...others } = headers;
  const { "content-length": _length, "transfer-encoding": _encoding, ...unframed } = others;
  const names = cookies.map((line) => line.split("=")[0]).filter((name) => !name?.startsWith("tm_"));
  const kept = framed ? others : unframed;
  return {
    ...rest,
    headers: { ...kept, names, caching: caching?.replace("public", "private") ?? "private" },
  };
}

const hasToken = ({ headers }: Answer) =>
  headers["set-cookie"]?.some((line) => line.startsWith("tm_")) ?? false;

const orders: Layer[][] = [
  ["ours", "compression"],
  ["ours", "session"],
  ["ours", "compression", "session"],
  ["ours", "session", "compression"],
  ["compression", "ours"],
  ["session", "ours"],
  ["compression", "ours", "session"],
];

// Neither compression nor express-session knows this form of end.
const { "end with a callback alone": _unknown, ...knownReplies } = replies;
const allReplies: readonly [string, (response: Response, next: Next) => void][] = [
  ...Object.entries(knownReplies),
  ...Object.entries(expressReplies),
];

describe.each(Object.entries(expressHosts))("on %s", (_name, host) => {
  const cases = orders.flatMap((layers) =>
    allReplies.map(([name, reply]) => ({ order: layers.join(", "), layers, name, reply })),
  );

  it.each(cases)("$order: $name waits, carries the token and is otherwise the same", async (one) => {
    const { layers, reply } = one;
    const sessions = new HandMadeSessions();
    let response: ServerResponse | undefined;
    const writing: Handler = (_request, current, next) => {
      response = current;
      startWrite(sessions.current);
      next();
    };
    await using listening = await serve(host([...stack(layers, sessions), writing], reply));
    const answering = ask(listening.port, gzip);
    await waitUntil(() => response?.headersSent ?? false, { what: "the handler has begun to answer" });
    expect(response?.socket?.bytesWritten).toBe(0);
    for (const each of sessions.made) endWrite(each, 7);
    const answer = await answering;
    expect(hasToken(answer)).toBe(true);
    const others = layers.filter((layer) => layer !== "ours");
    const expected = await exchange(host(stack(others, sessions), reply), gzip);
    // Mounted first, it hides from the others; else they see a body that comes in one piece.
    const framed = layers[0] === "ours";
    expect(comparable(answer, framed)).toEqual(comparable(expected, framed));
  });

  const withSession: { layers: Layer[]; order: string }[] = [
    { order: "session", layers: ["ours", "session"] },
    { order: "compression, session", layers: ["ours", "compression", "session"] },
  ];
  const whole = allReplies.filter(([name]) => !/stream|sendFile|write|flush/i.test(name));

  describe.each(withSession)("mounted after it: $order", ({ layers }) => {
    it.each(whole)("%s waits for the SET that express-session sends at its end", async (_reply, reply) => {
      const sessions = new HandMadeSessions();
      const store = new SlowStore(sessions);
      const sockets: { bytesWritten: number }[] = [];
      await using listening = await serve(host(stack(layers, sessions, store), reply));
      listening.server.on("connection", (socket) => sockets.push(socket));
      const answering = ask(listening.port, gzip);
      await waitUntil(() => store.acknowledge.length > 0, { what: "express-session has sent its SET" });
      await new Promise(setImmediate);
      expect(sockets.map(({ bytesWritten }) => bytesWritten)).toEqual([0]);
      for (const acknowledge of store.acknowledge) acknowledge();
      expect(hasToken(await answering)).toBe(true);
    });
  });
});
