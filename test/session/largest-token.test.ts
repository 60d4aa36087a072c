/** The largest possible token, with each carrier. */
import { expect, it } from "vitest";
import { cookie } from "../../src/http/carriers/cookie.js";
import { header } from "../../src/http/carriers/header.js";
import { consistentFetch } from "../../src/http/consistent-fetch.js";
import { Keyring } from "../../src/http/keyring.js";
import { encodeToken } from "../../src/session/token.js";
import { Headers } from "../support/http/headers.js";

const keyring = new Keyring("a secret of this test");

const now = Date.now();
const positions = Array.from({ length: 64 }, (_, i) => ({
  replid: `ffffffffffffff${i + 10}`,
  offset: Number.MAX_SAFE_INTEGER,
}));
const token = encodeToken({ issuedAt: now, pinnedAt: now, freshAsOf: now, positions });
const text = keyring.seal(token);
const outgoing = {
  changed: true,
  usesOldSecret: false,
  ttlMs: 60_000,
  arrivedAt: 0,
  text: () => text,
  rounded: () => text,
  histories: () => "",
  inForce: () => new Set<string>(),
  contained: () => new Set<string>(),
};

it("the largest token comes back in a response's cookie, which a browser keeps", () => {
  const response = new Headers();
  cookie().write({ headers: {} }, response, outgoing);
  const [line = ""] = response.cookies;
  expect(line.length).toBeLessThan(4096);
  const [pair = ""] = line.split(";");
  const [brought] = cookie().read({ headers: { cookie: pair } });
  expect(keyring.open(brought)?.token).toBe(token);
});

it("the largest token comes back in a response's header", () => {
  const response = new Headers();
  header().write({ headers: {} }, response, outgoing);
  const brought = String(response.getHeader("Consistency-Token"));
  expect(header().read({ headers: { "consistency-token": brought } })).toEqual([text]);
});

it("a client that follows tokens keeps the largest token", () => {
  const client = consistentFetch({ origins: "http://localhost" });
  client.add(text);
  expect(client.token).toBe(text);
});
