/** `npm start` serves the app on real servers, and exits on request. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { buildIfStale, root } from "./support/sources/built-package.js";

let server: ChildProcess | undefined;

beforeAll(buildIfStale);

afterEach(() => server?.kill("SIGKILL"));

async function start(): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ["--import", "tsx", "examples/cart/serve.ts"], { cwd: root });
  server = child;
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /http:\/\/[\d.:]+/.exec(line)?.[0];
    if (url !== undefined) return { child, url };
  }
  throw new Error("the app ended before it said where it is");
}

describe("npm start", () => {
  it("serves a page, and a cart with every added item, whatever the lag", async () => {
    const { url } = await start();
    expect(await (await fetch(url)).text()).toContain("<html");
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

  it("exits on SIGTERM, with everything it has started", async () => {
    const { child } = await start();
    child.kill("SIGTERM");
    await once(child, "exit");
    expect({ code: child.exitCode, signal: child.signalCode }).toEqual({ code: 0, signal: null });
  });
});
