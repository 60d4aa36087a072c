/** Behaviour of Web request handlers only: responses that cannot be changed, are thrown, or are never created. */
import { describe, expect, it, vi } from "vitest";
import {
  type Carrier,
  cookie,
  type Handler,
  readYourWrites,
  redisOf,
  sessionOf,
} from "../../../src/http/frameworks/web.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

const secret = "a secret of this test";
const url = "https://localhost/notes?id=1";

function write(request: Request): void {
  const session = sessionOf(request);
  startWrite(session);
  setImmediate(() => endWrite(session, 7));
}

async function answer(handler: Handler<Request, []>): Promise<Response> {
  return readYourWrites(new HandMadeSessions(), { secret })(handler)(new Request(url));
}

it.each<[what: string, make: () => Response, expected: [number, string]]>([
  ["headers that can be set", () => new Response("a body", { status: 201 }), [201, "a body"]],
  ["headers that cannot be", () => Response.redirect("https://localhost/login", 303), [303, ""]],
  ["no body", () => new Response(null, { status: 204 }), [204, ""]],
  ["not modified", () => new Response(null, { status: 304 }), [304, ""]],
])("sends the token with a response of %s, beside its own cookies", async (_what, make, expected) => {
  const response = await answer((request) => {
    write(request);
    return make();
  });
  expect([response.status, await response.text()]).toEqual(expected);
  expect(response.headers.getSetCookie()).toEqual([expect.stringMatching(/^__Host-tm_.*; Secure$/)]);
});

it("does not look at a response that needs no token, because some servers then send it faster", async () => {
  const seen: string[] = [];
  const source = new Response("a body");
  for (const name of ["headers", "body", "status", "statusText"] as const) {
    const value: unknown = source[name];
    Object.defineProperty(source, name, {
      get: () => {
        seen.push(name);
        return value;
      },
    });
  }
  expect(await answer(() => source)).toBe(source);
  expect(seen).toEqual([]);
});

it("does not look at the headers of a request before a carrier does", async () => {
  const request = new Request(url, { headers: { "X-A": "1" } });
  const { headers } = request;
  let looks = 0;
  Object.defineProperty(request, "headers", {
    get: () => {
      looks += 1;
      return headers;
    },
  });
  const carrier = { read: () => [], write: () => {} };
  const handler = readYourWrites(new HandMadeSessions(), { secret, carrier })(() => new Response());
  await handler(request);
  expect(looks).toBe(0);
});

it("shows carriers the headers of the request as an object", async () => {
  let shown: unknown;
  const carrier: Carrier = {
    read: () => [],
    write({ headers }) {
      shown = [
        headers.cookie,
        headers["x-a"],
        headers.forwarded,
        "x-a" in headers,
        "x-b" in headers,
        { ...headers },
      ];
    },
  };
  const handler = readYourWrites(new HandMadeSessions(), { secret, carrier })(() => new Response());
  await handler(new Request(url, { headers: { Cookie: "a=1", "X-A": "1" } }));
  expect(shown).toEqual(["a=1", "1", undefined, true, false, { cookie: "a=1", "x-a": "1" }]);
});

it("keeps every property of a response that it rebuilds", async () => {
  const source = new Response("a body", {
    statusText: "Fine",
    headers: [
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=2"],
      ["X-A", "1"],
    ],
  });
  const immutable = new Proxy(source.headers, {
    get: (headers, name) => {
      if (name === "delete")
        return () => {
          throw new TypeError("immutable");
        };
      const value = Reflect.get(headers, name, headers);
      return typeof value === "function" ? value.bind(headers) : value;
    },
  });
  Object.defineProperty(source, "headers", { value: immutable });
  const response = await answer((request) => {
    write(request);
    return source;
  });
  expect(response).not.toBe(source);
  expect([
    response.headers.getSetCookie().length,
    response.headers.get("X-A"),
    response.statusText,
    await response.text(),
  ]).toEqual([3, "1", "Fine", "a body"]);
});

it("sends the token with a response that is thrown", async () => {
  const thrown = await answer((request) => {
    write(request);
    throw Response.redirect("https://localhost/login", 302);
  }).catch((error) => error);
  expect([thrown.status, thrown.headers.getSetCookie().length]).toEqual([302, 1]);
});

it("reports writes of a failing handler, whose token no response carries, and passes the error on", async () => {
  const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const failing = answer((request) => {
    write(request);
    throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  await expect(answer(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(warn.mock.calls).toEqual([
    [expect.stringMatching(/^GET \/notes /), expect.objectContaining({ code: "TIDEMARK_LATE_WRITE" })],
  ]);
  warn.mockRestore();
});

describe("nested handlers", () => {
  it("of one Tidemark share a session, and the inner one's level applies", async () => {
    const sessions = new HandMadeSessions();
    const withConsistency = readYourWrites(sessions, { secret });
    const inner = withConsistency(
      (request, more: string) => new Response(`${sessionOf(request).level} ${more}`),
      { level: () => "strong" },
    );
    const response = await withConsistency(inner, { level: "eventual" })(new Request(url), "more");
    expect([await response.text(), sessions.made.length]).toEqual(["strong more", 1]);
  });

  it("of two Tidemarks have a session each", async () => {
    const [carts, users] = [new HandMadeSessions(), new HandMadeSessions()];
    const withUsers = readYourWrites(users, { secret, carrier: cookie({ prefix: "user_" }) });
    const handler = withUsers((request) => {
      write(request);
      return new Response(
        String(sessionOf(request) === users.made[0] && carts.current === sessionOf(request, carts)),
      );
    });
    const response = await readYourWrites(carts, { secret })(handler)(new Request(url));
    expect(await response.text()).toBe("true");
    expect(response.headers.getSetCookie()).toEqual([expect.stringMatching(/^__Host-user_/)]);
  });
});

it("names the mistake: no session, no request, an invalid level", async () => {
  expect(() => redisOf(new Request(url))).toThrow(/Wrap its handler/);
  const withConsistency = readYourWrites(new HandMadeSessions(), { secret });
  expect(() => withConsistency(() => new Response(), { level: JSON.parse('"fast"') })).toThrow(
    /^level: got a string/,
  );
  const wrapped = withConsistency(() => new Response());
  await expect(Reflect.apply(wrapped, undefined, [{ params: {} }])).rejects.toThrow(
    /^request: got .*Pass the Request that the handler answers/,
  );
});
