/** The page of a dashboard, on every framework. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2 } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dashboard } from "../../../src/http/frameworks/express.js";
import { InvalidOptionError, Tidemark } from "../../../src/index.js";
import { type DashboardApp, dashboards, fastifyDashboard } from "../../support/http/dashboards.js";
import { ask, serve } from "../../support/http/exchange.js";
import { RedisServer } from "../../support/servers/redis-server.js";

let primary: RedisServer;
let tidemark: Tidemark;

beforeAll(async () => {
  primary = await RedisServer.start();
  tidemark = new Tidemark({ primary: primary.url, replicas: [] });
  await tidemark.ready();
});

afterAll(async () => {
  await tidemark.close();
  await primary.stop();
});

const allow = () => true;
const path = "/tidemark";

/** The hashes of a directive of a Content-Security-Policy. */
function hashesIn(policy: string | string[] | undefined, directive: string): string[] {
  const [, sources = ""] = new RegExp(`(?:^|; )${directive} ([^;]*)`).exec(String(policy)) ?? [];
  return sources.split(" ").filter((source) => source !== "'none'");
}

function hashesOf(page: string, element: string): string[] {
  return [...page.matchAll(new RegExp(`<${element}\\b[^>]*>(.*?)</${element}>`, "gs"))].map(
    ([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`,
  );
}

describe.each(Object.entries(dashboards))("on %s", (_name, appOf: DashboardApp) => {
  it("is one HTML page that may run its own script only, and that nobody may keep or frame", async () => {
    await using app = await serve(await appOf({ tidemark, allow }));
    const { status, headers, body } = await ask(app.port, { path, headers: { accept: "text/html,*/*" } });
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store, no-transform",
      vary: "Accept",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
    });
    const policy = headers["content-security-policy"];
    expect(hashesOf(body, "script")).toHaveLength(1);
    expect(hashesIn(policy, "script-src")).toEqual(hashesOf(body, "script"));
    expect(hashesIn(policy, "style-src")).toEqual(hashesOf(body, "style"));
    expect(String(policy).replaceAll(/(script|style)-src [^;]*; /g, "")).toBe(
      "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(body).toMatch(/^<!doctype html>.*<\/html>\s*$/is);
    expect(body).not.toMatch(/ (on\w+|style)=|(src|href)="(?!data:)/);
  });

  it("answers HEAD with the headers of the page or of the feed, and without a body", async () => {
    await using app = await serve(await appOf({ tidemark, allow }));
    const page = await ask(app.port, { method: "HEAD", path });
    expect([page.status, page.headers["content-type"], page.body]).toEqual([
      200,
      "text/html; charset=utf-8",
      "",
    ]);
    const feed = await ask(app.port, { method: "HEAD", path, headers: { accept: "text/event-stream" } });
    expect([feed.status, feed.headers["content-type"], feed.body]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
      "",
    ]);
  });

  it("brings no cookie behind readYourWrites", async () => {
    await using app = await serve(await appOf({ tidemark, allow, middleware: "before" }));
    const { status, headers } = await ask(app.port, { path });
    expect([status, headers["set-cookie"]]).toEqual([200, undefined]);
  });
});

it.each(["Express 5, by app.use", "node:http", "Koa, without a router", "Web handlers"])(
  "refuses other methods on %s",
  async (name) => {
    await using app = await serve(await (dashboards[name] as DashboardApp)({ tidemark, allow }));
    const { status, headers, body } = await ask(app.port, { method: "POST", path });
    expect([status, headers.allow, body]).toEqual([
      405,
      "GET, HEAD",
      "The dashboard answers only GET and HEAD.\n",
    ]);
  },
);

it("works over HTTP/2, by a local name", async () => {
  const plain = createHttp2();
  const handler = dashboard(tidemark);
  plain.on("request", (request, response) => Reflect.apply(handler, undefined, [request, response]));
  const app = await fastifyDashboard({ tidemark }, { http2: true });
  await app.listen({ port: 0, host: "127.0.0.1" });
  plain.listen(0, "127.0.0.1");
  await once(plain, "listening");
  for (const address of [plain.address(), app.server.address()]) {
    const port = typeof address === "object" ? address?.port : undefined;
    const client = connectHttp2(`http://localhost:${port}`);
    const page = client.request({ ":path": path }).setEncoding("utf8");
    const [headers] = await once(page, "response");
    const [text] = await once(page, "data");
    expect(headers[":status"]).toBe(200);
    expect(text).toContain("<!doctype html>");
    const feed = client.request({ ":path": path, accept: "text/event-stream" }).setEncoding("utf8");
    expect(String(await once(feed, "data"))).toContain("retry: 1000");
    const foreign = client.request({ ":path": path, ":authority": "evil.example" });
    const [refused] = await once(foreign, "response");
    expect(refused[":status"]).toBe(403);
    client.destroy();
  }
  plain.close();
  await app.close();
});

it("refuses options that cannot work at once", () => {
  const call = (...args: unknown[]) => Reflect.apply(dashboard, undefined, args);
  expect(() => call()).toThrow(InvalidOptionError);
  expect(() => call({})).toThrow("tidemark: got an object. Call dashboard(new Tidemark({ … })).");
  expect(() => call(tidemark, { alow: allow })).toThrow('there is no option "alow". Did you mean "allow"?');
  expect(() => call(tidemark, { allow: true })).toThrow(
    "allow: got true. Pass a function that returns true or false.",
  );
});
