/** Cookies that another host of the same site has set for all hosts of the site. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Carrier, CarrierRequest } from "../../../src/http/carriers/carrier.js";
import { cookie } from "../../../src/http/carriers/cookie.js";
import { Keyring } from "../../../src/http/keyring.js";
import type { Tidemark } from "../../../src/index.js";
import { decodeToken, encodeToken } from "../../../src/session/token.js";
import { hasDoublings } from "../../support/doublings.js";
import { Browser } from "../../support/http/browser.js";
import { type Door, listening } from "../../support/http/door.js";
import { type Scene, secret } from "../../support/http/framework-app.js";
import { holdReplicas, releaseReplicas } from "../../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { replicasAreEligible } from "../../support/stages/eligible-replicas.js";
import { openTidemark } from "../../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterEach(() => releaseReplicas(group));

afterAll(async () => {
  await tidemark.close();
  await group.stop();
});

/** `?set=text` writes, all else reads, the key that `key` names. */
const notes: Scene["handler"] = async ({ session, query }) => {
  const [key, text] = [query.get("key") ?? "", query.get("set")];
  if (text !== null) await session.redis.set(key, text);
  return { body: String(await session.redis.get(key)) };
};

/** Shows a carrier its requests as an app sees them behind a proxy that ends TLS. */
function overHttps({ read, write }: Carrier): Carrier {
  const https = (request: CarrierRequest): CarrierRequest => ({
    headers: request.headers,
    protocol: "https",
  });
  return {
    read: (request) => read(https(request)),
    write: (request, response, token) => write(https(request), response, token),
  };
}

/** Texts that a user of the app, who runs the other host, was given once. */
async function signed(count: number, ageMs = 0): Promise<string[]> {
  const session = tidemark.session();
  await session.redis.set("of somebody else", "1");
  const claims = decodeToken(session.token());
  if (claims === undefined) throw new Error("the session has no token");
  const keyring = new Keyring(secret);
  return Array.from({ length: count }, (_, n) =>
    keyring.seal(encodeToken({ ...claims, issuedAt: Date.now() - ageMs - n })),
  );
}

const dayMs = 86_400_000;
const named = (text: string): string => `tm_${text.slice(-12)}=${text}`;
const anyName = (text: string, n: number): string => `tm_${String(n).padStart(12, "0")}=${text}`;
const repeated = (count: number, [text = ""]: readonly string[]): string[] => Array(count).fill(text);

const tossed: Readonly<Record<string, () => Promise<string[]>>> = {
  "16 with the same expired token": async () => repeated(16, await signed(1, dayMs)).map(anyName),
  "16 with the same valid token": async () => repeated(16, await signed(1)).map(anyName),
  "16 with different expired tokens": async () => (await signed(16, dayMs)).map(named),
  "16 with different valid tokens": async () => (await signed(16)).map(named),
  "64 with different valid tokens": async () => (await signed(64)).map(named),
  "170 with one byte each": async () => repeated(170, ["x"]).map(anyName),
};

const app = { http: "http://shop.example.com/", https: "https://shop.example.com/" };

/** The carrier is the same on every framework. */
const frameworks = hasDoublings ? ["Express 5", "Fastify"] : ["Express 5"];

describe.each(["http", "https"] as const)("over %s, cookies that another host has set", (scheme) => {
  describe.each(frameworks)("on %s", (framework) => {
    async function enter(what: string): Promise<AsyncDisposable & { readonly browser: Browser }> {
      const carrier = scheme === "https" ? overHttps(cookie()) : cookie();
      const door: Door | undefined = await listening[framework]?.(tidemark, { carrier, handler: notes });
      if (door === undefined) throw new Error(`there is no ${framework}`);
      const browser = new Browser([door], app[scheme]);
      const lines = (await tossed[what]?.()) ?? [];
      browser.jar.receive(
        `${scheme}://evil.example.com/`,
        lines.map((line) => `${line}; Domain=example.com; Path=/; Max-Age=3600`),
      );
      browser.jar.receive(app[scheme], ["login=someone; Path=/"]);
      return { browser, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() };
    }

    it.each(Object.keys(tossed))(
      "%s neither make Tidemark's cookies pile up nor remove other cookies",
      async (what) => {
        await using entered = await enter(what);
        const { browser } = entered;
        const before = browser.names.length;
        let set = 0;
        for (let n = 0; n < 60; n += 1) {
          const { status, headers } = await browser.ask({ query: "key=nothing" });
          expect(status).toBe(200);
          set += headers["set-cookie"] === undefined ? 0 : 1;
        }
        expect(set).toBeLessThanOrEqual(what.includes("different valid tokens") && scheme === "http" ? 2 : 0);
        expect(browser.names.length - before).toBeLessThanOrEqual(set);
        holdReplicas(group);
        for (let n = 0; n < 60; n += 1) {
          await browser.ask({ query: `key=own&set=${what} ${scheme} ${framework} ${n}` });
          expect((await browser.ask({ query: "key=own" })).body).toBe(`${what} ${scheme} ${framework} ${n}`);
        }
        expect(browser.names.length - before).toBeLessThanOrEqual(scheme === "https" ? 1 : 12);
        expect(browser.names).toContain("login");
      },
    );
  });
});

it("a user who just wrote over HTTP sees the write over HTTPS, where no cookie is set until the user writes", async () => {
  const open = async (carrier: Carrier) => {
    const door = await listening["Express 5"]?.(tidemark, { carrier, handler: notes });
    if (door === undefined) throw new Error("there is no Express");
    return door;
  };
  await using plain = await open(cookie());
  await using secure = await open(overHttps(cookie()));
  const before = new Browser([plain], app.http);
  const after = new Browser([secure], app.https, before.jar);
  holdReplicas(group);
  await before.ask({ query: "key=upgraded&set=1" });
  const { body, headers } = await after.ask({ query: "key=upgraded" });
  expect([body, headers["set-cookie"]]).toEqual(["1", undefined]);
  await after.ask({ query: "key=upgraded&set=2" });
  expect(after.names.filter((name) => name.startsWith("__Host-"))).toHaveLength(1);
  expect((await after.ask({ query: "key=upgraded" })).body).toBe("2");
});

it("more tokens than the limit pin a request to the primary, because any of them may be the one that matters", async () => {
  const door = await listening["Express 5"]?.(tidemark, { handler: notes });
  if (door === undefined) throw new Error("there is no Express");
  await using _door = door;
  const browser = new Browser([door], app.http);
  holdReplicas(group);
  await browser.ask({ query: "key=hidden&set=1" });
  const real = browser.jar.header(app.http);
  const junk = Array.from({ length: 181 }, (_, n) =>
    named(`${"x".repeat(10)}${String(n).padStart(12, "0")}`),
  );
  for (const others of [junk, repeated(180, ["x"]).map(anyName)]) {
    const headers = { Cookie: [...others, real].join("; ") };
    expect((await door.ask({ query: "key=hidden", headers })).body).toBe("1");
  }
});
