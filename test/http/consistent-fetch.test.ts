/** Clients that keep the tokens of their user themselves. */

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import { setImmediate } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { consistentFetch } from "../../src/http/consistent-fetch.js";
import { unsent } from "../../src/session/token.js";
import { waitUntil } from "../support/wait-until.js";

const closers: (() => unknown)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

/** The origin of a server that answers with `listener`. */
async function serving(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  closers.push(() => server.close());
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The server has no port.");
  return `http://127.0.0.1:${address.port}`;
}

/** Answers with the token that its path names, and tells what it was sent. */
function echo({ url = "", headers }: IncomingMessage, response: ServerResponse): void {
  if (url !== "/") response.setHeader("Consistency-Token", url.slice(1));
  response.end(String(headers["consistency-token"] ?? ""));
}

describe("consistentFetch", () => {
  it.each([
    [
      { origins: "localhost:3000" },
      'consistentFetch origins: got a value without http:// or https://. Pass origins such as "https',
    ],
    [{ origins: "api.example.com" }, "consistentFetch origins: got a value without http:// or https://"],
    [{ origins: "file:///x" }, "consistentFetch origins: got a value without http:// or https://"],
    [
      { origins: ["http://localhost:3000", 5] },
      "consistentFetch origins: got a value without http:// or https://",
    ],
    [{ origins: [] }, "consistentFetch origins: got an empty list"],
    [{ origins: "http://localhost:3000", header: "bad name" }, "header: got no valid header name"],
    [{ origins: "http://localhost:3000", header: "" }, "header: got no valid header name"],
    [{ origins: "http://localhost:3000", fetch: 5 }, "fetch: got no function. Pass a function"],
  ])("refuses %j", (options, message) => {
    expect(() => Reflect.apply(consistentFetch, undefined, [options])).toThrow(TypeError);
    expect(() => Reflect.apply(consistentFetch, undefined, [options])).toThrow(message);
  });

  it("sends its tokens, and replaces them with the token of the response", async () => {
    const origin = await serving(echo);
    const get = consistentFetch({ origins: origin });
    expect(await (await get(`${origin}/a`)).text()).toBe("");
    get.add("x, no token");
    expect(get.token).toBe("a,x");
    expect(await (await get(new Request(`${origin}/`, { headers: { Accept: "*/*" } }))).text()).toBe("a, x");
    expect(get.token).toBe("a,x");
    expect(await (await get(new URL(`${origin}/b`))).text()).toBe("a, x");
    expect(get.token).toBe("b");
  });

  it("keeps tokens that arrive during a request, and all tokens when the request fails", async () => {
    const waiting: (() => void)[] = [];
    const origin = await serving((request, response) => {
      if (request.url === "/cut") return void request.socket.destroy();
      waiting.push(() => echo(request, response));
      if (waiting.length === 2) for (const answer of waiting.reverse()) answer();
    });
    const get = consistentFetch({ origins: [origin] });
    get.add("old");
    await Promise.all([get(`${origin}/a`), get(`${origin}/b`)]);
    expect(get.token.split(",").sort()).toEqual(["a", "b"]);
    await expect(get(`${origin}/cut`)).rejects.toThrow();
    expect(get.token.split(",").sort()).toEqual(["a", "b"]);
  });

  it("neither sends tokens to another origin nor accepts tokens from it", async () => {
    const [home, abroad] = [await serving(echo), await serving(echo)];
    const get = consistentFetch({ origins: home });
    get.add("mine");
    expect(await (await get(`${abroad}/theirs`)).text()).toBe("");
    expect(get.token).toBe("mine");
  });

  it("ignores an invalid token in a response, and keeps the tokens it sent", async () => {
    const origin = await serving(echo);
    const get = consistentFetch({ origins: origin });
    get.add("mine");
    await get(`${origin}/${"x".repeat(1537)}`);
    expect(get.token).toBe("mine");
  });

  it("sends no more tokens at once than servers accept, and delays other requests until they are replaced", async () => {
    let underWay = 0;
    let [mostUnderWay, mostSent] = [0, 0];
    const origin = await serving(async ({ headers, url = "" }, response) => {
      const sent = String(headers["consistency-token"] ?? "").split(",");
      [underWay, mostSent] = [underWay + 1, Math.max(mostSent, sent.length)];
      mostUnderWay = Math.max(mostUnderWay, underWay);
      await setImmediate();
      underWay -= 1;
      response.setHeader("Consistency-Token", url.slice(1)).end();
    });
    const get = consistentFetch({ origins: origin });
    await Promise.all(Array.from({ length: 300 }, (_, n) => get(`${origin}/${"x".repeat(320)}${n}`)));
    expect(mostUnderWay).toBeGreaterThan(8);
    expect(mostUnderWay).toBeLessThanOrEqual(32);
    expect(mostSent).toBeLessThanOrEqual(32);
    expect((await get(`${origin}/last`)).ok).toBe(true);
    expect(get.token).toBe("last");
  });

  it("sends a delayed request after a second when the pending responses do not arrive", async () => {
    const unanswered: ServerResponse[] = [];
    let posted = 0;
    const origin = await serving(({ method }, response) => {
      if (method === "POST") posted += 1;
      else unanswered.push(response);
      if (method === "POST") response.setHeader("Consistency-Token", "posted").end();
    });
    const get = consistentFetch({ origins: origin });
    const polls = Array.from({ length: 32 }, () => get(origin));
    const post = get(origin, { method: "POST" });
    await waitUntil(() => posted === 1, { what: "the POST has been sent" });
    await post;
    for (const [n, response] of unanswered.entries())
      response.setHeader("Consistency-Token", `polled${n}`).end();
    await Promise.all(polls);
    expect(get.token.split(",")).toContain(unsent);
    expect(get.token.split(",").length).toBeLessThanOrEqual(32);
  });

  it("has no imports, so that browsers can load its file as it is", async () => {
    const source = await readFile(new URL("../../src/http/consistent-fetch.ts", import.meta.url), "utf8");
    expect(source).not.toMatch(/\bimport\b|\bfrom "/);
  });

  it("rejects a delayed request when its signal is aborted", async () => {
    const unanswered: ServerResponse[] = [];
    const origin = await serving((_request, response) => void unanswered.push(response));
    const get = consistentFetch({ origins: origin });
    const first = Array.from({ length: 32 }, () => get(origin));
    const aborting = new AbortController();
    const waiting = get(origin, { signal: aborting.signal });
    aborting.abort(new Error("given up"));
    await expect(waiting).rejects.toThrow("given up");
    await waitUntil(() => unanswered.length === first.length, { what: "the other requests have arrived" });
    for (const response of unanswered) response.end();
    await Promise.all(first);
  });

  it("keeps no more tokens than it can send, and asks for the primary instead", async () => {
    const seen: string[] = [];
    const origin = await serving((request, response) => {
      seen.push(String(request.headers["consistency-token"]));
      echo(request, response);
    });
    const byNumber = consistentFetch({ origins: origin });
    for (let n = 0; n < 10_000; n += 1) byNumber.add(`token${n}`);
    expect(byNumber.token.split(",").length).toBeLessThanOrEqual(32);
    const byLength = consistentFetch({ origins: origin });
    byLength.add(Array.from({ length: 20 }, (_, n) => `${"x".repeat(1_000)}${n}`).join());
    for (const get of [byNumber, byLength]) {
      expect(get.token.split(",")).toContain("*");
      expect(get.token.length).toBeLessThanOrEqual(6_000);
      expect((await get(`${origin}/merged`)).ok).toBe(true);
      expect(get.token).toBe("merged");
    }
    expect(seen.every((sent) => sent.split(", ").includes("*"))).toBe(true);
  });

  it.each<[method: string, answered: number, asked: number]>([
    ["GET", 200, 2],
    ["PUT", 200, 2],
    ["POST", 431, 1],
  ])("forgets its tokens on 431, and repeats %s if that is safe", async (method, answered, asked) => {
    const bodies: string[] = [];
    const origin = await serving(async (request, response) => {
      const token = request.headers["consistency-token"];
      bodies.push(await text(request));
      response.statusCode = token === "*" || token === undefined ? 200 : 431;
      response.end(String(token));
    });
    const get = consistentFetch({ origins: origin });
    get.add("a,b");
    const body = method === "GET" ? {} : { body: "a body" };
    const answer = await get(origin, { method, ...body });
    expect([answer.status, bodies.length, get.token]).toEqual([answered, asked, "*"]);
    if (method === "PUT") expect(bodies).toEqual(["a body", "a body"]);
    expect((await get(origin)).status).toBe(200);
  });

  it("repeats only once when a server always answers 431", async () => {
    let asked = 0;
    const origin = await serving((_request, response) => {
      asked += 1;
      response.writeHead(431).end();
    });
    const get = consistentFetch({ origins: origin });
    get.add("a");
    expect([(await get(origin)).status, asked]).toEqual([431, 2]);
    expect([(await get(origin)).status, asked]).toEqual([431, 3]);
  });

  it("keeps asking for the primary when tokens were forgotten during a request", async () => {
    const waiting: (() => void)[] = [];
    const origin = await serving((request, response) => void waiting.push(() => echo(request, response)));
    const get = consistentFetch({ origins: origin });
    const overflow = () => get.add(Array.from({ length: 33 }, (_, n) => `token${n}`).join());
    overflow();
    const going = get(`${origin}/brought`);
    await waitUntil(() => waiting.length === 1, { what: "the request has arrived" });
    overflow();
    for (const answer of waiting) answer();
    await going;
    expect(get.token.split(",")).toContain("*");
    expect(get.token.split(",")).toContain("brought");
  });

  it("requires origins outside a page", () => {
    expect(() => consistentFetch()).toThrow("consistentFetch origins: got nothing");
    expect(() => consistentFetch({ origins: "here" })).toThrow(TypeError);
  });
});

describe("consistentFetch, redirected outside a page", () => {
  /** `/STATUS/PATH` redirects there, bringing its whole path without slashes for a token; all else tells what came. */
  async function redirect(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = "", method, headers } = request;
    const [, status, location] = /^\/(\d{3})(\/.*)$/.exec(url) ?? [];
    response.setHeader("Consistency-Token", url.replaceAll(/[^\w]/g, ""));
    if (status !== undefined && location !== undefined) {
      response.writeHead(Number(status), { Location: location.replace(/^\/to=/, "") }).end("moved");
      return;
    }
    const { host, authorization, cookie, "content-type": type, "content-language": language } = headers;
    const token = headers["consistency-token"];
    const sent = { method, url, host, authorization, cookie, type, language, token };
    response.setHeader("Seen", JSON.stringify({ ...sent, body: await text(request) })).end();
  }

  /** The request as the last server saw it and the response as `send` returned it. */
  async function told(send: typeof fetch, ...args: Parameters<typeof fetch>): Promise<unknown> {
    try {
      const { status, url, redirected, headers } = await send(...args);
      return { status, url, redirected, seen: JSON.parse(headers.get("Seen") ?? "{}") };
    } catch (error) {
      return error instanceof TypeError ? "TypeError" : error;
    }
  }

  const init = { headers: { "Content-Language": "de", Authorization: "Basic eDp5", Cookie: "a=b" } };
  const bodies: Record<string, () => Pick<RequestInit, "body"> & { duplex?: "half" }> = {
    "no body": () => ({}),
    "a string": () => ({ body: "text" }),
    "a form": () => ({ body: new URLSearchParams({ a: "b" }) }),
    bytes: () => ({ body: new Blob(["bytes"], { type: "text/x" }) }),
    "a stream": () => ({ body: new Blob(["streamed"]).stream(), duplex: "half" }),
  };

  describe.each([301, 302, 303, 307, 308, 304, 300])("with %i", (status) => {
    it.each(Object.entries(bodies))("redirects %s as fetch does", async (_body, body) => {
      const [home, abroad] = [await serving(redirect), await serving(redirect)];
      for (const method of ["GET", "HEAD", "POST", "post", "PUT", "DELETE"]) {
        if (/^(GET|HEAD)$/.test(method) && body().body !== undefined) continue;
        for (const to of ["/end", `/to=${abroad}/end`, `/307/to=${abroad}/302/to=${home}/end`]) {
          const sent = () => ({ ...init, ...body(), method });
          const address = `${home}/${status}${to}`;
          const expected = await told(fetch, address, sent());
          const get = consistentFetch({ origins: "http://elsewhere.example" });
          expect(await told(get, address, sent()), `${method} ${to}`).toEqual(expected);
          if (_body === "a stream") continue;
          expect(await told(get, new Request(address, sent()))).toEqual(expected);
        }
      }
    });
  });

  it("accepts the token of each hop, and sends it with the next one", async () => {
    const origin = await serving(redirect);
    const get = consistentFetch({ origins: origin });
    get.add("old");
    expect(await told(get, `${origin}/303/end`, { method: "POST" })).toMatchObject({
      redirected: true,
      seen: { method: "GET", token: "303end" },
    });
    expect(get.token).toBe("end");
  });

  it("neither sends tokens to another origin nor accepts tokens from it, and resumes on the way back", async () => {
    const [home, abroad] = [await serving(redirect), await serving(redirect)];
    const get = consistentFetch({ origins: home });
    get.add("mine");
    const headers = { "Consistency-Token": "by-hand" };
    const away = await get(`${home}/307/to=${abroad}/end`, { headers });
    expect(JSON.parse(away.headers.get("Seen") ?? "{}")).not.toHaveProperty("token");
    const brought = get.token;
    expect(brought).toMatch(/^307to/);
    expect(await told(get, `${abroad}/302/to=${home}/end`)).toMatchObject({ seen: { token: brought } });
    expect(get.token).toBe("end");
  });

  it("accepts no token from another origin when the given fetch follows redirects itself, as in browsers", async () => {
    const [home, abroad] = [await serving(redirect), await serving(redirect)];
    const following: typeof fetch = (input, init) => fetch(input, { ...init, redirect: "follow" });
    const get = consistentFetch({ origins: home, fetch: following });
    await get(`${home}/302/to=${abroad}/theirs`);
    expect(get.token).toBe("");
    await get(`${home}/302/mine`);
    expect(get.token).toBe("mine");
  });

  it.each(["manual", "error"] as const)(
    "leaves %s redirects unchanged, and accepts their token",
    async (mode) => {
      const origin = await serving(redirect);
      const [viaInit, viaRequest] = [
        consistentFetch({ origins: origin }),
        consistentFetch({ origins: origin }),
      ];
      const address = `${origin}/302/end`;
      const expected = await told(fetch, address, { redirect: mode });
      expect(await told(viaInit, address, { redirect: mode })).toEqual(expected);
      expect(await told(viaRequest, new Request(address, { redirect: mode }))).toEqual(expected);
      expect([viaInit.token, viaRequest.token]).toEqual(["302end", "302end"]);
    },
  );

  it.each([
    ["20 times", "/302".repeat(20)],
    ["21 times", "/302".repeat(21)],
    ["to a file", "/302/to=file:///etc/hosts"],
    ["to a data: URL", "/302/to=data:,text"],
    ["to an invalid URL", "/302/to=http://"],
  ])("follows redirects %s as fetch does", async (_where, path) => {
    const address = `${await serving(redirect)}${path}/end`;
    expect(await told(consistentFetch({ origins: "http://elsewhere.example" }), address)).toEqual(
      await told(fetch, address),
    );
  });

  it.each<[string, (address: string, signal: AbortSignal) => Parameters<typeof fetch>]>([
    ["with an address", (address, signal) => [address, { signal }]],
    ["in a Request", (address, signal) => [new Request(address, { signal })]],
  ])("can be aborted on any hop by a signal %s", async (_where, asked) => {
    const aborting = new AbortController();
    const origin = await serving((request, response) => {
      if (request.url === "/end") aborting.abort(new Error("given up"));
      else response.writeHead(307, { Location: "/end" }).end();
    });
    const get = consistentFetch({ origins: origin });
    await expect(get(...asked(origin, aborting.signal))).rejects.toThrow("given up");
  });
});
