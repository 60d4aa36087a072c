/** The middleware that sets the level of a route. */
import express from "express";
import supertest from "supertest";
import { describe, expect, it } from "vitest";
import { bounded, consistency, eventual, readYourWrites, strong } from "../../src/http/frameworks/express.js";
import { HandMadeSessions } from "../support/stages/hand-made-sessions.js";

const secret = "a secret of this test";

/** A call that only JavaScript can make. */
const untyped = (json: string) => JSON.parse(json);

describe("the markers of a route", () => {
  it.each([
    ["strong()", strong(), '"strong"'],
    ["eventual()", eventual(), '"eventual"'],
    ["bounded(500)", bounded(500), '{"maxStalenessMs":500}'],
    ['consistency("session")', consistency("session"), '"session"'],
  ])("%s sets the level of its requests, and the innermost marker wins", async (_name, marker, level) => {
    const app = express().use(
      readYourWrites(new HandMadeSessions(), { secret, level: "strong" }),
      bounded(9),
    );
    app.get(
      "/",
      marker,
      ({ consistency }, response) => void response.send(JSON.stringify(consistency.level)),
    );
    expect((await supertest(app).get("/")).text).toBe(level);
  });

  it.each([
    ["strong()", strong()],
    ["eventual()", eventual()],
    ["bounded(ms)", bounded(5)],
    ["consistency(level)", consistency("strong")],
  ])("%s without the middleware before it reports what is missing", async (name, marker) => {
    const { status, text } = await supertest(express().set("env", "test").use(marker)).get("/");
    expect(status).toBe(500);
    expect(text).toContain(
      `${name} found no session for this request. Mount readYourWrites(tidemark, { secret })`,
    );
  });

  it.each([
    ["bounded(0)", () => bounded(0)],
    ["bounded()", () => Reflect.apply(bounded, undefined, [])],
    ["consistency('fast')", () => consistency(untyped('"fast"'))],
    ["strong given as a handler", () => Reflect.apply(strong, undefined, [{}, {}, () => {}])],
    ["eventual given as a handler", () => Reflect.apply(eventual, undefined, [{}, {}, () => {}])],
  ])("refuse %s", (_what, act) => {
    expect(act).toThrow(expect.objectContaining({ code: "TIDEMARK_INVALID_OPTION" }));
  });
});
