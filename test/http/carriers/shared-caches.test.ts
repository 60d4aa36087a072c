/** Responses with a token, as shared caches see them. */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { cookie, header, readYourWrites } from "../../../src/http/frameworks/express.js";
import * as onWeb from "../../../src/http/frameworks/web.js";
import { type Answer, ask, serve } from "../../support/http/exchange.js";
import { secret } from "../../support/http/framework-app.js";
import { cachesThatKeep } from "../../support/http/shared-cache.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

const onHeaders: (response: ServerResponse, listener: () => void) => void = createRequire(import.meta.url)(
  "on-headers",
);

type Given = Readonly<Record<string, string>>;

const max = "public, s-maxage=600, max-age=60";

/** Caching headers that apps send. */
const said: Readonly<Record<string, Given>> = {
  nothing: {},
  public: { "Cache-Control": max },
  "max-age": { "Cache-Control": "max-age=60" },
  Expires: { Expires: "Thu, 01 Jan 2099 00:00:00 GMT" },
  "Last-Modified": { "Last-Modified": "Thu, 01 Jan 2015 00:00:00 GMT", ETag: '"a"' },
  "one private field": { "Cache-Control": 'private="X-A, Set-Cookie", max-age=60' },
  "private and public": { "Cache-Control": "PRIVATE=x, Public, max-age=60" },
  "no-store with must-understand": { "Cache-Control": "must-understand, no-store, max-age=60" },
  "an invalid list": { "Cache-Control": "max-age=60; public" },
  "for CDNs": { "Cache-Control": "no-store", "CDN-Cache-Control": "max-age=60" },
  "for Cloudflare": { "Cache-Control": "private", "Cloudflare-CDN-Cache-Control": "public, max-age=60" },
  "for Vercel": { "Cache-Control": "private", "Vercel-CDN-Cache-Control": "s-maxage=60" },
  "for Netlify": { "Cache-Control": "private", "Netlify-CDN-Cache-Control": "public, max-age=60, durable" },
  "for surrogates": { "Cache-Control": "no-store", "Surrogate-Control": "max-age=60, content" },
  Vary: { "Cache-Control": max, Vary: "Accept" },
};

/** How apps say it. */
const ways: Readonly<Record<string, (response: ServerResponse, status: number, given: Given) => void>> = {
  setHeader: (response, status, given) => {
    response.statusCode = status;
    for (const [name, value] of Object.entries(given)) response.setHeader(name, value);
    response.end();
  },
  writeHead: (response, status, given) => response.writeHead(status, given).end(),
  "a list to writeHead": (response, status, given) =>
    response.writeHead(status, Object.entries(given).flat()).end(),
  "writeHead beside other headers": (response, status, given) =>
    response.setHeader("X-A", "1").writeHead(status, given).end(),
  "a listener of the head": (response, status, given) => {
    onHeaders(response, () => {
      for (const [name, value] of Object.entries(given)) response.setHeader(name, value);
    });
    response.writeHead(status).end();
  },
};

const carriers = { "cookie()": cookie(), "header()": header() };

async function answer(
  way: string,
  status: number,
  given: Given,
  options: { readonly writes: boolean; readonly carrier: keyof typeof carriers },
): Promise<Answer> {
  const sessions = new HandMadeSessions();
  const middleware = readYourWrites(sessions, { secret, carrier: carriers[options.carrier] });
  await using server = await serve((request, response) =>
    middleware(request, response, () => {
      const { current } = sessions;
      if (options.writes && current !== undefined) {
        startWrite(current);
        setImmediate(() => endWrite(current, 7));
      }
      ways[way]?.(response, status, given);
    }),
  );
  return await ask(server.port);
}

describe.each(Object.keys(ways))("caching headers set by %s", (way) => {
  describe.each(Object.entries(said))("%s", (_what, given) => {
    it.each([200, 304, 404])("let no shared cache store a token with status %i", async (status) => {
      for (const carrier of ["cookie()", "header()"] as const) {
        const { headers } = await answer(way, status, given, { writes: true, carrier });
        expect(headers).toHaveProperty(carrier === "cookie()" ? "set-cookie" : "consistency-token");
        expect(cachesThatKeep(status, headers)).toEqual([]);
        expect(headers.expires).toBe(given.Expires);
        expect(headers.vary).toBe(given.Vary);
      }
    });
  });
});

it.each(Object.entries(said))(
  "a response without a token keeps the app's caching headers: %s",
  async (_what, given) => {
    const { headers } = await answer("writeHead", 200, given, { writes: false, carrier: "cookie()" });
    for (const [name, value] of Object.entries(given)) expect(headers[name.toLowerCase()]).toBe(value);
    expect("cache-control" in headers).toBe("Cache-Control" in given);
  },
);

it.each(Object.entries(said))(
  "a Web response with a token is stored by no shared cache: %s",
  async (_what, given) => {
    const sessions = new HandMadeSessions();
    const handler = onWeb.readYourWrites(sessions, { secret })(() => {
      startWrite(sessions.current);
      if (sessions.current) endWrite(sessions.current, 7);
      return new Response("a body", { headers: given });
    });
    const response = await handler(new Request("http://a/"));
    const headers: IncomingHttpHeaders = Object.fromEntries(response.headers);
    expect(cachesThatKeep(200, headers)).toEqual([]);
  },
);

it("this test's model of caches distinguishes the caching headers", () => {
  expect(cachesThatKeep(200, {})).toContain("any cache");
  expect(cachesThatKeep(200, { "cache-control": "private" })).toEqual([]);
  expect(cachesThatKeep(200, { "cache-control": 'private="a"' })).toContain("any cache");
  expect(cachesThatKeep(500, {})).toEqual([]);
  expect(cachesThatKeep(200, { "cache-control": "no-store", "surrogate-control": "max-age=1" })).toEqual([
    "Fastly",
  ]);
});
