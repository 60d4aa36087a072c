/** `npm start` serves the app on real servers, and exits on request. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { FeedReader } from "./support/http/feed-reader.js";
import { buildIfStale, root } from "./support/sources/built-package.js";
import { waitUntil } from "./support/wait-until.js";

let server: ChildProcess | undefined;

beforeAll(buildIfStale);

afterEach(() => server?.kill("SIGKILL"));

async function start(): Promise<{ child: ChildProcess; url: string; lines: readonly string[] }> {
  const child = spawn(process.execPath, ["--import", "tsx", "examples/cart/serve.ts"], { cwd: root });
  server = child;
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  let url: string | undefined;
  await waitUntil(
    () => {
      url = /http:\/\/[\d.:]+/.exec(lines.join("\n"))?.[0];
      return url !== undefined;
    },
    { what: "the app says where it is", timeoutMs: 50_000 },
  );
  if (url === undefined) throw new Error("the app has no URL");
  return { child, url, lines };
}

describe("npm start", () => {
  it("serves a page, and a cart with every added item, whatever the lag", async () => {
    const { url } = await start();
    expect(await (await fetch(url)).text()).toContain('<a href="/tidemark">');
    const added = await fetch(`${url}/cart/visitor/apples`, { method: "POST" });
    expect(added.status).toBe(204);
    const cookie = added.headers
      .getSetCookie()
      .map((line) => line.split(";", 1)[0])
      .join("; ");
    expect(cookie).toMatch(/^tm_/);
    const cart = await fetch(`${url}/cart/visitor`, { headers: { cookie } });
    expect(await cart.json()).toEqual({ apples: "1" });
    expect(cart.headers.get("answered-by")).toMatch(/^primary /);
  });

  it("shows the dashboard, and says where", async () => {
    const { url, lines } = await start();
    await waitUntil(() => lines.some((line) => line.includes(`${url}/tidemark`)), {
      what: "its URL is printed",
    });
    const page = await fetch(`${url}/tidemark`);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
    await using feed = await FeedReader.open(Number(new URL(url).port));
    const { nodes } = await feed.next("sample");
    expect(nodes.map(({ role }) => role)).toEqual(["primary", "replica", "replica"]);
  });

  it("exits on SIGTERM, with everything it has started", async () => {
    const { child } = await start();
    child.kill("SIGTERM");
    await once(child, "exit");
    expect({ code: child.exitCode, signal: child.signalCode }).toEqual({ code: 0, signal: null });
  });
});
