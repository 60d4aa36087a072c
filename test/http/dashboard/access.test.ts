/** Who may see a dashboard. */
import { once } from "node:events";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dashboard } from "../../../src/http/frameworks/express.js";
import { Tidemark } from "../../../src/index.js";
import { type DashboardApp, dashboards } from "../../support/http/dashboards.js";
import { ask, type Listening, serve } from "../../support/http/exchange.js";
import { FeedReader } from "../../support/http/feed-reader.js";
import { listenToWarnings } from "../../support/listeners/warnings.js";
import { RedisServer } from "../../support/servers/redis-server.js";

const path = "/tidemark";

let primary: RedisServer;
let tidemark: Tidemark;
let local: Listening;

beforeAll(async () => {
  primary = await RedisServer.start();
  tidemark = new Tidemark({ primary: primary.url, replicas: [] });
  await tidemark.ready();
  local = await serve(dashboard(tidemark));
});

afterAll(async () => {
  await local[Symbol.asyncDispose]();
  await tidemark.close();
  await primary.stop();
});

/** The answer to lines that a client sends. */
async function answerTo(lines: readonly string[], port = local.port, host = "127.0.0.1"): Promise<string> {
  const socket = connect(port, host);
  await once(socket, "connect");
  socket.end([...lines, "Connection: close", "", ""].join("\r\n"));
  return await text(socket);
}

describe("without `allow`", () => {
  it.each(["localhost", "app.localhost:3000", "127.0.0.1", "127.8.9.1:80", "[::1]:3000", "LOCALHOST:1"])(
    "shows the page to a local browser that asks %s",
    async (host) => {
      expect(await answerTo([`GET ${path} HTTP/1.1`, `Host: ${host}`])).toMatch(/^HTTP\/1\.1 200 /);
    },
  );

  it.each([
    ...[
      "evil.example",
      "evil.example:3000",
      "localhost.evil.example",
      "evillocalhost",
      "127.0.0.1.evil.example",
    ],
    ...["192.168.0.7", "[2001:db8::1]", "127.evil", "[::1].evil.example", ""],
  ])("refuses a request to the host %j, whose name may have been given a local address", async (host) => {
    const answer = await answerTo([`GET ${path} HTTP/1.1`, `Host: ${host}`]);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain("the host in its URL is not localhost, 127.0.0.1 or [::1]");
    expect(answer).toContain("pass a function: dashboard(tidemark, { allow: (request) => … })");
  });

  it.each([
    ...["Forwarded: for=203.0.113.7", "X-Forwarded-For: 203.0.113.7", "X-Real-IP: 203.0.113.7", "Via: 1.1 a"],
    ...["X-Forwarded-Host: a.example", "X-Forwarded-Proto: https", "x-forwarded-for:"],
  ])("refuses a request that came through a proxy on the same machine: %s", async (header) => {
    const answer = await answerTo([`GET ${path} HTTP/1.1`, "Host: localhost", header]);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain(
      `came through a proxy, because it has the header ${header.split(":")[0]?.toLowerCase()}`,
    );
  });

  it("refuses HTTP/1.0, which proxies speak that add no header", async () => {
    const answer = await answerTo([`GET ${path} HTTP/1.0`, "Host: localhost"]);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain("because it uses HTTP/1.0");
  });

  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === "IPv4")?.address;

  it.skipIf(outside === undefined)("refuses another machine, whatever host it names", async () => {
    await using app = await serve(dashboard(tidemark), "0.0.0.0");
    const answer = await answerTo([`GET ${path} HTTP/1.1`, "Host: localhost"], app.port, outside);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain("this request comes from another machine");
  });

  it("refuses every Web request, because it does not show where it comes from", async () => {
    const app = dashboards["Web handlers"] as DashboardApp;
    await using listening = await serve(await app({ tidemark }));
    const { status, body } = await ask(listening.port, { path });
    expect(status).toBe(403);
    expect(body).toContain(
      "a Web Request does not show where it comes from. To let others see it, pass a function",
    );
  });

  it("shows no feed to other sites", async () => {
    const asked = (site: string) =>
      ask(local.port, {
        method: "HEAD",
        path,
        headers: { accept: "text/event-stream", "sec-fetch-site": site },
      });
    const answers = await Promise.all(["cross-site", "same-site", "same-origin", "none"].map(asked));
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 200, 200]);
    expect(answers.every(({ headers }) => headers["access-control-allow-origin"] === undefined)).toBe(true);
  });
});

describe.each(Object.entries(dashboards))("on %s", (_name, appOf: DashboardApp) => {
  it("`allow` decides by the framework's own request, whatever host and proxy there are", async () => {
    await using app = await serve(await appOf({ tidemark, allow: async (key) => key === "right" }));
    const statusFor = async (headers: Record<string, string>) =>
      (await ask(app.port, { path, headers })).status;
    expect(await statusFor({ key: "right" })).toBe(200);
    expect(await statusFor({ key: "right", host: "shop.example", "x-forwarded-for": "203.0.113.7" })).toBe(
      200,
    );
    expect(await statusFor({ key: "wrong" })).toBe(403);
    expect(await statusFor({})).toBe(403);
    await expect(FeedReader.open(app.port, { key: "wrong" })).rejects.toThrow(
      "403 You may not see this dashboard",
    );
    await using feed = await FeedReader.open(app.port, { key: "right" });
    expect((await feed.next("history")).samples).toBeInstanceOf(Array);
  });

  it("refuses if `allow` fails, and warns once", async () => {
    using warnings = listenToWarnings();
    const allow = (key: string | undefined): Promise<boolean> => {
      if (key === "throw") throw new Error("no key store");
      return Promise.reject(new Error("no key store"));
    };
    await using app = await serve(await appOf({ tidemark, allow }));
    for (const key of ["throw", "reject", "throw"]) {
      const { status, body } = await ask(app.port, { path, headers: { key } });
      expect([status, body]).toEqual([
        403,
        "You may not see this dashboard of Tidemark: its option `allow` did not return true for this request.\n",
      ]);
    }
    expect(warnings.inFull("TIDEMARK_DASHBOARD_ALLOW")).toEqual([
      expect.stringMatching(/^The option `allow` of dashboard\(\) threw an error.*no key store/s),
    ]);
  });
});

it("refuses if `allow` returns anything but true", async () => {
  const allow: unknown = () => "admin";
  await using app = await serve(Reflect.apply(dashboard, undefined, [tidemark, { allow }]));
  expect((await ask(app.port, { path })).status).toBe(403);
});
