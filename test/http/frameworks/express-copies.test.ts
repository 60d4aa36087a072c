/** Headers are deferred whichever app answers, even an app of another copy of Express. */
import { createRequire } from "node:module";
import type express5 from "express";
import type { Express, Request, RequestHandler, Response } from "express";
import { describe, expect, it } from "vitest";
import { readYourWrites, session } from "../../../src/http/frameworks/express.js";
import type { Session } from "../../../src/session/session.js";
import { exchange } from "../../support/http/exchange.js";
import { expresses } from "../../support/http/replies.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

const secret = "a secret of this test";

/** A copy that no middleware has ever seen. */
function freshCopy(name: string): typeof express5 {
  const require = createRequire(import.meta.url);
  for (const path of Object.keys(require.cache))
    if (path.includes(`/node_modules/${name}/`)) delete require.cache[path];
  return require(name);
}

/** By hand, as packages that choose an app by its host do. */
const byHand =
  (app: Express): RequestHandler =>
  (request, response, next) =>
    app(request, response, next);

const pairs = Object.entries(expresses).flatMap(([outer, first]) =>
  ["express4", "express"].map((inner) => ({ outer, inner, first })),
);

describe.each(pairs)(
  "An app of a fresh copy of $inner that gets its requests from an app of $outer",
  (pair) => {
    const { first } = pair;
    const second = (): Express => freshCopy(pair.inner)();
    const appOf = (sessions: HandMadeSessions, ...more: RequestHandler[]): Express =>
      first()
        .set("env", "test")
        .use(readYourWrites(sessions, { secret }), ...more);
    const begin: RequestHandler = ({ consistency }, _response, next) => {
      startWrite(consistency);
      next();
    };
    const answer = (sessions: HandMadeSessions) => (_request: Request, response: Response) => {
      response.send("a body");
      const session: Session | undefined = sessions.made[0];
      if (session) setImmediate(endWrite, session, 7);
    };

    it.each(["mounted", "called by hand"])("sends the token of an earlier write, %s", async (how) => {
      const sessions = new HandMadeSessions();
      const inner = second().set("env", "test").use(answer(sessions));
      const app = appOf(sessions, begin, how === "mounted" ? inner : byHand(inner));
      expect((await exchange(app)).headers["set-cookie"]).toHaveLength(1);
    });

    it.each(["mounted", "called by hand"])("sends the token of its own writes, %s", async (how) => {
      const sessions = new HandMadeSessions();
      const inner = second().set("env", "test");
      inner.use((_request, _response, next) => {
        startWrite(sessions.made[0]);
        next();
      }, answer(sessions));
      const app = appOf(sessions, how === "mounted" ? inner : byHand(inner));
      expect((await exchange(app)).headers["set-cookie"]).toHaveLength(1);
    });

    it("sends a token that changes without a write", async () => {
      const sessions = new HandMadeSessions();
      const inner = second()
        .set("env", "test")
        .use((_request, response) => {
          sessions.made[0]?.requireRead({ replid: "0123456789abcdef", offset: 7 });
          response.send("a body");
        });
      const app = first().set("env", "test");
      app.use(readYourWrites(sessions, { secret, monotonicReads: true }), byHand(inner));
      expect((await exchange(app)).headers["set-cookie"]).toHaveLength(1);
    });

    it("stores a token that changes without a write", async () => {
      const stored: Record<string, unknown> = {};
      const inner = second()
        .set("env", "test")
        .use((_request, response) => {
          stored.changed = true;
          response.send("a body");
        });
      const app = first().set("env", "test");
      app.use((request, _response, next) => {
        Object.assign(request, { session: stored });
        next();
      });
      app.use(readYourWrites(new HandMadeSessions(), { carrier: session() }), byHand(inner));
      await exchange(app);
      expect(stored).toMatchObject({ changed: true, tidemark: expect.any(String) });
    });

    it("does not delay a response that already waits for an earlier write", async () => {
      const sessions = new HandMadeSessions();
      const inner = second()
        .set("env", "test")
        .use((_request, response) => {
          const made = sessions.made[0];
          response.send("a body");
          startWrite(made);
          setImmediate(() => made && endWrite(made, 8));
          setImmediate(() => made && endWrite(made, 9));
        });
      const answered = await exchange(appOf(sessions, begin, byHand(inner)));
      expect(answered.headers["set-cookie"]).toHaveLength(1);
    });

    /** Writes when the response is ended, as a session store does. */
    const writeAtEnd =
      (sessions: HandMadeSessions): RequestHandler =>
      (_request, response, next) => {
        const { end } = response;
        response.end = (...args: unknown[]) => {
          const made = sessions.made[0];
          startWrite(made);
          setImmediate(() => made && endWrite(made, 7));
          return Reflect.apply(end, response, args);
        };
        next();
      };

    it("has the full feature set when the middleware is mounted again", async () => {
      const sessions = new HandMadeSessions();
      let heard: Session | undefined;
      const inner = second().set("env", "test");
      inner.use(readYourWrites(sessions, { secret }), writeAtEnd(sessions), (request, response) => {
        request.once("mine", () => {
          heard = sessions.current;
        });
        setImmediate(() => sessions.run(sessions.session({}), () => request.emit("mine")));
        setImmediate(() => response.send(String(request.consistency === sessions.made[0])));
      });
      const answered = await exchange(appOf(sessions, byHand(inner)));
      expect(answered).toMatchObject({ body: "true", headers: { "set-cookie": [expect.any(String)] } });
      expect(heard).toBe(sessions.made[0]);
    });

    it("sends one token of its own writes when the middleware is mounted again", async () => {
      const sessions = new HandMadeSessions();
      const inner = second().set("env", "test");
      inner.use(readYourWrites(sessions, { secret }), begin, answer(sessions));
      const answered = await exchange(appOf(sessions, byHand(inner)));
      expect(answered.headers["set-cookie"]).toHaveLength(1);
    });

    it("keeps waiting for earlier writes when the middleware is mounted again", async () => {
      const sessions = new HandMadeSessions();
      const inner = second().set("env", "test");
      inner.use(writeAtEnd(sessions), readYourWrites(sessions, { secret }), answer(sessions));
      const answered = await exchange(appOf(sessions, begin, byHand(inner)));
      expect(answered.headers["set-cookie"]).toHaveLength(1);
      expect(sessions.made[0]?.writing).toBe(false);
    });
  },
);
