/** How the tokens of a request reach its session. */
import express, { type Express } from "express";
import supertest from "supertest";
import { describe, expect, it, vi } from "vitest";
import type { Carrier } from "../../src/http/carriers/carrier.js";
import { cookie, header, readYourWrites } from "../../src/http/frameworks/express.js";
import { Keyring } from "../../src/http/keyring.js";
import { requestSessions, type SessionSource } from "../../src/http/request-session.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { endWrite, HandMadeSessions, tokenAt } from "../support/stages/hand-made-sessions.js";
import { startWrite } from "../support/stages/open-writes.js";

const secret = "a secret of this test";
const sealed = new Keyring(secret).seal(tokenAt(7));
const name = `tm_${sealed.slice(-12)}`;
const carried = `${name}=${sealed}`;

function appOf(sessions: SessionSource, options: Parameters<typeof readYourWrites>[1] = { secret }): Express {
  return express().set("env", "test").use(readYourWrites(sessions, options));
}

describe("the session of a request", () => {
  it("reads the tokens of a request only when its session needs them, and only once", async () => {
    const carrier = { ...cookie(), read: vi.fn(cookie().read) };
    const app = appOf(new HandMadeSessions(), { secret, carrier })
      .get("/without", (_request, response) => void response.send("a body"))
      .get("/with", ({ consistency }, response) => {
        startWrite(consistency);
        endWrite(consistency, 5);
        response.json(consistency.positions);
      });
    await supertest(app).get("/without").set("Cookie", carried).expect(200);
    expect(carrier.read).toHaveBeenCalledTimes(0);
    const { body } = await supertest(app).get("/with").set("Cookie", carried);
    expect(body).toEqual([{ replid: "0123456789abcdef", offset: 7 }]);
    expect(carrier.read).toHaveBeenCalledTimes(1);
  });

  it("lists as contained only the tokens that it understands, whichever a carrier asks for first", async () => {
    const later = new Keyring(secret).seal(Buffer.from("a later version").toString("base64url"));
    const merged: string[] = [];
    const carrier: Carrier = {
      read: () => [sealed, later, "rubbish"],
      write: (_request, _response, outgoing) => void merged.push(...outgoing.contained()),
    };
    const app = appOf(new HandMadeSessions(), { secret, carrier });
    await supertest(app.use((_request, response) => void response.send("a body"))).get("/");
    expect(merged).toEqual([sealed]);
  });

  it("treats a token with an unknown secret as absent, and accepts tokens of older secrets", async () => {
    const offsetWith = async (secrets: string | string[]) => {
      const app = appOf(new HandMadeSessions(), { secret: secrets });
      app.get("/", ({ consistency }, response) => void response.json(consistency.positions.length));
      return (await supertest(app).get("/").set("Cookie", carried).expect(200)).body;
    };
    expect(await offsetWith("some other secret of a test")).toBe(0);
    expect(await offsetWith(["some other secret of a test", secret])).toBe(1);
  });

  it("treats a token of another audience as absent", async () => {
    const offsetFor = async (audience: string | undefined) => {
      const app = appOf(new HandMadeSessions(), { secret, audience });
      app.use(({ consistency }, response) => void response.json(consistency.positions.length));
      const text = new Keyring(secret, "shop").seal(tokenAt(7));
      return (await supertest(app).get("/").set("Cookie", `tm_000000000001=${text}`)).body;
    };
    expect([await offsetFor("shop"), await offsetFor("admin"), await offsetFor(undefined)]).toEqual([
      1, 0, 0,
    ]);
  });

  it("needs a valid audience and a secret", () => {
    const error = (message: string) => expect.objectContaining({ message: expect.stringContaining(message) });
    const withAudience = (options: object) => () => requestSessions(new HandMadeSessions(), options);
    expect(withAudience({ secret, audience: "" })).toThrow(error('audience: got "". Pass a name'));
    const carrier: Carrier = { serverSide: true, read: () => [], write: () => {} };
    expect(withAudience({ carrier, audience: "shop" })).toThrow(error("secret: got undefined"));
  });

  it("re-encrypts a token of an older secret, so that the older secret can be removed", async () => {
    const [older, newer] = [secret, "the secret that comes after it"];
    const answer = async (secrets: string | string[], cookies: string[]) => {
      const app = appOf(new HandMadeSessions(), { secret: secrets });
      app.get("/", ({ consistency }, response) => void response.json(consistency.positions));
      const { body, headers } = await supertest(app).get("/").set("Cookie", cookies.join("; ")).expect(200);
      const lines: string[] = [headers["set-cookie"] ?? []].flat();
      return { body, lines };
    };
    const first = await answer([newer, older], [carried]);
    expect(first.lines).toEqual([
      expect.stringContaining(`${name}=; Max-Age=0`),
      expect.stringMatching(/^tm_/),
    ]);
    const renewed = first.lines[1]?.split(";")[0] ?? "";
    expect(await answer(newer, [carried])).toEqual({ body: [], lines: [] });
    expect(await answer(newer, [renewed])).toEqual({ body: first.body, lines: [] });
    expect(first.body).toEqual([{ replid: "0123456789abcdef", offset: 7 }]);
  });

  it("is pinned to the primary when its client could not send all its tokens, and sends one token for that", async () => {
    const app = appOf(new HandMadeSessions(), { secret, carrier: header() });
    app.get("/", ({ consistency }, response) => void response.json(consistency.pinned));
    app.get("/added", ({ consistency }, response) => {
      consistency.addSealed("*");
      response.json(consistency.pinned);
    });
    const first = await supertest(app).get("/").set("Consistency-Token", `*, ${sealed}`).expect(200, "true");
    const token = String(first.headers["consistency-token"]);
    expect(token).toMatch(/^[\w-]{40,}$/);
    const second = await supertest(app).get("/").set("Consistency-Token", token).expect(200, "true");
    expect(second.headers).not.toHaveProperty("consistency-token");
    await supertest(app).get("/added").expect(200, "true");
    await supertest(app).get("/").expect(200, "false");
  });

  it("is stored by server-side carriers whenever it may have changed, and not after it was final", () => {
    const carriers = [
      { serverSide: true, read: () => [], write: vi.fn() },
      { read: () => [], write: vi.fn() },
    ] as const;
    const [kept, brought] = carriers;
    const open = requestSessions(new HandMadeSessions(), { secret, carrier: carriers });
    const { store, carry } = open({ headers: {} });
    const head = { getHeader: () => undefined, setHeader: () => {} };
    store?.(false);
    carry(head);
    expect(kept.write).toHaveBeenCalledTimes(2);
    store?.();
    store?.(false);
    carry(head);
    expect(kept.write).toHaveBeenCalledTimes(3);
    expect(brought.write).toHaveBeenCalledTimes(2);
  });
});

describe("a token of another secret", () => {
  const other = new Keyring("the secret of another process").seal(tokenAt(7));
  const app = () =>
    appOf(new HandMadeSessions()).get("/", ({ consistency }, response) => {
      response.json(consistency.positions);
    });

  it("counts as absent, and causes one warning", async () => {
    using warnings = listenToWarnings();
    const asked = app();
    for (let n = 0; n < 2; n += 1)
      expect(
        (
          await supertest(asked)
            .get("/")
            .set("Cookie", `tm_${other.slice(-12)}=${other}`)
        ).body,
      ).toEqual([]);
    await new Promise(setImmediate);
    expect(warnings.of("TIDEMARK_UNKNOWN_TOKEN")).toHaveLength(1);
    expect(warnings.inFull("TIDEMARK_UNKNOWN_TOKEN").join()).not.toContain(other.slice(0, 10));
  });

  it.each([
    ["one of the secrets", carried],
    ["nothing that looks like a token", `tm_${"x".repeat(12)}=${"x".repeat(25)}`],
    ["another cookie", `theirs=${other}`],
  ])("causes no warning for %s", async (_title, header) => {
    using warnings = listenToWarnings();
    await supertest(app()).get("/").set("Cookie", header);
    await new Promise(setImmediate);
    expect(warnings.of("TIDEMARK_UNKNOWN_TOKEN")).toEqual([]);
  });
});
