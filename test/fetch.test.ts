/** Clients that hold the tokens of their user by themselves. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { afterAll, describe, expect, it } from "vitest";
import { consistentFetch } from "../src/http/fetch.js";

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
  it("sends what it holds, and puts in its place what its own request brings", async () => {
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

  it("keeps what came while a request was under way, and all of it when that fails", async () => {
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

  it("neither sends tokens to another origin nor takes any from there", async () => {
    const [home, abroad] = [await serving(echo), await serving(echo)];
    const get = consistentFetch({ origins: home });
    get.add("mine");
    expect(await (await get(`${abroad}/theirs`)).text()).toBe("");
    expect(get.token).toBe("mine");
  });

  it("passes over what is no token, and keeps what it sent", async () => {
    const origin = await serving(echo);
    const get = consistentFetch({ origins: origin });
    get.add("mine");
    await get(`${origin}/${"x".repeat(1025)}`);
    expect(get.token).toBe("mine");
  });

  it("asks for origins where there is no page", () => {
    expect(() => consistentFetch()).toThrow("origins: got nothing");
    expect(() => consistentFetch({ origins: "here" })).toThrow(TypeError);
  });
});
