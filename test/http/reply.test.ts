/** Every way to send a response, with and without the middleware. */
import type { RequestListener, ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { type Answer, ask, exchange, serve } from "../support/http/exchange.js";
import { expressHosts, expressReplies, type Handler, hosts, replies } from "../support/http/replies.js";
import { endWrite, HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { startWrite } from "../support/stages/open-writes.js";
import { waitUntil } from "../support/wait-until.js";

const secret = "a secret of this test";

/** Makes a listener of the middleware under test. */
type Server = (middleware: readonly Handler[]) => RequestListener;

const cases: [string, Server][] = [
  ...Object.entries(hosts).flatMap(([host, make]) =>
    Object.entries(replies).map(([reply, run]): [string, Server] => [
      `${host}: ${reply}`,
      (middleware) => make(middleware, (_request, response, next) => run(response, next)),
    ]),
  ),
  ...Object.entries(expressHosts).flatMap(([host, make]) =>
    Object.entries(expressReplies).map(([reply, run]): [string, Server] => [
      `${host}: ${reply}`,
      (middleware) => make(middleware, run),
    ]),
  ),
];

/** The answer without what differs from one run to the next, without the token and what the token does to caching. */
function comparable({ headers, ...rest }: Answer): unknown {
  const { date: _date, "cache-control": caching, "set-cookie": _cookies, ...others } = headers;
  const cookies = cookiesOf({ headers }).filter((line) => !line.startsWith("tm_"));
  return {
    ...rest,
    headers: { ...others, cookies, caching: caching?.replace("public", "private") ?? "private" },
  };
}

function cookiesOf({ headers }: Pick<Answer, "headers">): readonly string[] {
  return headers["set-cookie"] ?? [];
}

function tokensOf(answer: Answer): readonly string[] {
  return cookiesOf(answer).filter((line) => line.startsWith("tm_"));
}

describe.each(["GET", "HEAD"])("the answer to a %s request", (method) => {
  it.each(cases)("is unchanged by the middleware when nothing was written: %s", async (_name, server) => {
    const middleware = readYourWrites(new HandMadeSessions(), { secret });
    const expected = await exchange(server([]), { method });
    const answer = await exchange(server([middleware]), { method });
    expect(tokensOf(answer)).toEqual([]);
    expect(comparable(answer)).toEqual(comparable(expected));
  });

  it.each(cases)(
    "waits for a write in flight, then carries the token and is otherwise unchanged: %s",
    async (_name, server) => {
      const sessions = new HandMadeSessions();
      const log: string[] = [];
      let response: ServerResponse | undefined;
      await using listening = await serve(
        server([
          readYourWrites(sessions, { secret }),
          (_request, current, next) => {
            response = current;
            startWrite(sessions.current);
            next();
          },
        ]),
      );
      const answering = ask(listening.port, { method }).finally(() => log.push("answered"));
      await waitUntil(() => response?.headersSent ?? false, { what: "the handler has begun to answer" });
      expect(response?.socket?.bytesWritten).toBe(0);
      log.push("released");
      for (const session of sessions.made) endWrite(session, 7);
      const answer = await answering;
      expect(log).toEqual(["released", "answered"]);
      expect(tokensOf(answer)).toHaveLength(1);
      expect(comparable(answer)).toEqual(comparable(await exchange(server([]), { method })));
    },
  );
});
