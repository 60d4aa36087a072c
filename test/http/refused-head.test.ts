/** Headers that Node refuses: the middleware keeps no trace of them. */
import type { ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { serve } from "../support/http/exchange.js";
import { secret } from "../support/http/framework-app.js";
import { endWrite, HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { startWrite } from "../support/stages/open-writes.js";

const onHeaders: (response: ServerResponse, listener: () => void) => void = createRequire(import.meta.url)(
  "on-headers",
);

type Tries = readonly ((response: ServerResponse) => unknown)[];

/** Calls that a handler tries one after the other. An error page follows if they have not ended the response. */
const handlers: Readonly<Record<string, Tries>> = {
  "a value with a line break": [
    (response) => response.writeHead(200, { "Content-Length": 4, "Content-Encoding": "gzip", "X-A": "a\nb" }),
  ],
  "an undefined value": [(response) => call(response, 200, { "Content-Length": 4, "X-A": undefined })],
  "a name with a space": [(response) => response.writeHead(200, { "Content-Length": 4, "X A": "1" })],
  "an empty name": [(response) => response.writeHead(200, { "Content-Length": 4, "": "1" })],
  "a status of two digits": [(response) => response.writeHead(99, { "Content-Length": 4 })],
  "a status of letters": [(response) => call(response, "ok", { "Content-Length": 4 })],
  "a message with a line break": [(response) => response.writeHead(200, "O\nK", { "Content-Length": 4 })],
  "a message of the response with a line break": [
    (response) => Object.assign(response, { statusMessage: "O\nK" }),
    (response) => response.writeHead(200, { "Content-Length": 4 }),
    (response) => Object.assign(response, { statusMessage: "" }),
  ],
  "a list of odd length": [(response) => response.writeHead(200, ["Content-Length", "4", "X-A"])],
  "a list with an invalid value": [
    (response) => response.writeHead(200, ["Content-Length", "4", "X-A", "\n"]),
  ],
  "a list of pairs with an invalid value": [
    (response) =>
      call(response, 200, [
        ["Content-Length", "4"],
        ["X-A", "\n"],
      ]),
  ],
  "a list of pairs": [
    (response) =>
      call(response, 200, [
        ["X-A", "1"],
        ["x-a", "2"],
      ]).end("body"),
  ],
  "a flat list that names one header twice": [
    (response) => response.writeHead(200, ["Set-Cookie", "a=1", "X-B", "1", "set-cookie", "b=2"]).end("body"),
  ],
  "an object that names one header twice": [
    (response) =>
      response.writeHead(200, { "X-A": "1", "x-a": "2", "Set-Cookie": ["a=1", "b=2"] }).end("body"),
  ],
  "a string for headers": [(response) => call(response, 200, "OK", "ab").end("body")],
  "a message and headers": [(response) => response.writeHead(201, "Made", { "X-A": "1" }).end("body")],
  "an object that changes later": [
    (response) => {
      const headers: Record<string, string> = { "X-A": "1" };
      response.writeHead(200, headers);
      Object.assign(headers, { "X-A": "2", "X-B": "\n" });
      response.end("body");
    },
  ],
  "204 with an invalid value": [(response) => response.writeHead(204, { "X-A": "\n" })],
  "Trailer without chunked encoding": [
    (response) => response.writeHead(200, { "Content-Length": 4, Trailer: "X-A" }),
  ],
  "a valid call after an invalid one": [
    (response) => response.writeHead(200, { "Content-Length": 3, "X-A": "\n" }),
    (response) => response.writeHead(200, { "X-B": "1" }).end("a body"),
  ],
  "two valid calls": [
    (response) => response.writeHead(200, { "X-A": "1" }),
    (response) => response.writeHead(500, { "X-B": "1" }),
    (response) => response.end("a body"),
  ],
  "a header after a valid call": [
    (response) => response.writeHead(200, { "X-A": "1" }),
    (response) => response.setHeader("X-B", "1"),
    (response) => response.appendHeader("X-B", "1"),
    (response) => response.removeHeader("X-A"),
    (response) => response.end("a body"),
  ],
  "an invalid header of the response": [
    (response) => response.setHeader("Content-Length", "4\n"),
    (response) => response.setHeader("X A", "4"),
  ],
  "after the first bytes": [
    (response) => response.write("a "),
    (response) => response.writeHead(500, { "X-A": "1" }),
    (response) => response.flushHeaders(),
    (response) => response.end("body"),
  ],
  "after flushHeaders": [
    (response) => response.flushHeaders(),
    (response) => response.writeHead(500, { "X-A": "1" }),
    (response) => response.end("body"),
  ],
  "an invalid status in end": [
    (response) => Object.assign(response, { statusCode: 1000 }),
    (response) => response.end("four"),
  ],
  "an invalid status in write": [
    (response) => Object.assign(response, { statusCode: "ECONNREFUSED" }),
    (response) => response.write("four"),
  ],
  "an invalid status in flushHeaders": [
    (response) => Object.assign(response, { statusCode: 0 }),
    (response) => response.flushHeaders(),
  ],
  "an invalid status in an end without a body": [
    (response) => Object.assign(response, { statusCode: 0 }),
    (response) => response.end(),
  ],
  "a listener that throws": [
    (response) => onHeaders(response, () => response.setHeader("X-A", "\n")),
    (response) => response.writeHead(200, { "Content-Length": 4 }),
  ],
  "a listener that throws in end": [
    (response) => onHeaders(response, () => response.setHeader("X-A", "\n")),
    (response) => response.end("four"),
  ],
  "a listener that removes a header": [
    (response) => onHeaders(response, () => response.removeHeader("Content-Length")),
    (response) => response.writeHead(200, { "Content-Length": 4 }),
    (response) => response.end("a longer body"),
  ],
  "early hints": [
    (response) => response.writeEarlyHints({ link: "</a.css>; rel=preload; as=style", "x-a": "1" }),
    (response) => response.writeHead(200, { "Content-Length": 4, "X-A": "\n" }),
  ],
  "invalid early hints": [(response) => response.writeEarlyHints({ link: "no link" })],
  "interim responses": [
    (response) => response.writeContinue(),
    (response) => response.writeProcessing(),
    (response) => response.writeHead(200, "O\nK"),
  ],
  "invalid chunks": [
    (response) => Reflect.apply(response.write, response, [7]),
    (response) => response.end("a"),
  ],
};

/** Calls `writeHead` with what its types forbid. */
function call(response: ServerResponse, ...args: readonly unknown[]): ServerResponse {
  return Reflect.apply(response.writeHead, response, args);
}

/** Tries, then shows an error page; what went wrong. */
function handle(tries: Tries, response: ServerResponse): unknown[] {
  const errors: unknown[] = [];
  for (const one of tries) {
    try {
      one(response);
    } catch (error) {
      errors.push(error instanceof Error && "code" in error ? error.code : String(error));
    }
  }
  errors.push(response.headersSent, response.statusCode);
  if (!response.headersSent) errors.push(response.getHeaders());
  if (response.writableEnded) return errors;
  if (!response.headersSent) response.removeHeader("Trailer");
  Object.assign(response, { statusCode: 500, statusMessage: "" });
  response.end("a page about what went wrong");
  return errors;
}

/** The ways to begin and to end a write. */
const servers = {
  "without a write": () => {},
  "after a write": (session: HandMadeSessions) => {
    startWrite(session.current);
    if (session.current) endWrite(session.current, 7);
  },
  "during a write": (session: HandMadeSessions) => {
    const { current } = session;
    startWrite(current);
    setImmediate(() => current && endWrite(current, 7));
  },
};

const own = /^(date: |set-cookie: tm_|cache-control: private$)/i;

/** The lines of the answer, whose headers may be named in any case. */
async function linesFrom(port: number): Promise<string[]> {
  const client = connect(port, "127.0.0.1");
  client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const lines = (await text(client)).split("\r\n");
  return lines.map((line) => line.replace(/^[\w-]+: /, (name) => name.toLowerCase())).sort();
}

describe.each(Object.entries(servers))("%s", (name, write) => {
  describe.each([false, true])("with headers set before: %s", (isPrepared) => {
    it.each(Object.entries(handlers))("answers as Node does to %s", async (_what, tries) => {
      const seen: unknown[][] = [];
      const prepare = (response: ServerResponse): void => {
        if (isPrepared) response.setHeader("X-Before", "1").setHeader("X-A", "before");
      };
      await using plain = await serve((_request, response) => {
        prepare(response);
        seen.push(handle(tries, response));
      });
      const sessions = new HandMadeSessions();
      const middleware = readYourWrites(sessions, { secret });
      await using server = await serve((request, response) => {
        prepare(response);
        middleware(request, response, () => {
          write(sessions);
          seen.push(handle(tries, response));
        });
      });
      const expected = (await linesFrom(plain.port)).filter((line) => !own.test(line));
      const answered = await linesFrom(server.port);
      expect(answered.filter((line) => !own.test(line))).toEqual(expected);
      expect(answered.filter((line) => /^set-cookie: tm_/i.test(line))).toHaveLength(
        name === "without a write" ? 0 : 1,
      );
      expect(seen[1]).toEqual(seen[0]);
    });
  });
});
