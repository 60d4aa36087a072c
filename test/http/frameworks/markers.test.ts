import express from "express";
import fastify from "fastify";
import Koa from "koa";
import supertest from "supertest";
import { describe, expect, it } from "vitest";
import type { Consistency, ReadOptions } from "../../../src/consistency/read-policy.js";
import * as onExpress from "../../../src/http/frameworks/express.js";
import * as onFastify from "../../../src/http/frameworks/fastify.js";
import * as onKoa from "../../../src/http/frameworks/koa.js";
import { readYourWrites as onWeb } from "../../../src/http/frameworks/web.js";
import { HandMadeSessions } from "../../support/stages/hand-made-sessions.js";

const secret = "a secret of this test";

/** The markers of an entry, which differ in what they return. */
interface Markers<Marker> {
  strong(options?: ReadOptions): Marker;
  eventual(options?: ReadOptions): Marker;
  bounded(maxStalenessMs: number, options?: ReadOptions): Marker;
  consistency(level: Consistency, options?: ReadOptions): Marker;
}

type Mark = <Marker>(on: Markers<Marker>) => Marker;

/** Values that only JavaScript can pass. */
const untyped = (value: unknown) => value as never;

/** An app of each entry whose level is `level`, and the level of its route behind what `mark` makes. */
const entries: Readonly<Record<string, (level: Consistency, mark: Mark) => Promise<unknown>>> = {
  Express: async (level, mark) => {
    const app = express().use(onExpress.readYourWrites(new HandMadeSessions(), { secret, level }));
    app.get("/", mark(onExpress), ({ consistency }, response) => void response.json(consistency.level));
    return (await supertest(app).get("/")).body;
  },
  Koa: async (level, mark) => {
    const app = new Koa().use(onKoa.readYourWrites(new HandMadeSessions(), { secret, level }));
    app.use(mark(onKoa)).use((ctx) => {
      ctx.body = JSON.stringify(ctx.consistency.level);
    });
    return JSON.parse((await supertest(app.callback()).get("/")).text);
  },
  Fastify: async (level, mark) => {
    const app = fastify();
    await app.register(onFastify.readYourWrites, { tidemark: new HandMadeSessions(), secret, level });
    const preHandler = mark(onFastify);
    app.get("/", { preHandler }, async ({ consistency }) => JSON.stringify(consistency.level));
    return JSON.parse((await app.inject("/")).body);
  },
};

describe.each(Object.entries(entries))("the markers of %s", (_name, levelBehind) => {
  it.each<[what: string, mark: Mark, level: Consistency]>([
    [
      "strong(options)",
      (on) => on.strong({ staleIfPrimaryGone: true }),
      { level: "strong", staleIfPrimaryGone: true },
    ],
    [
      "eventual(options)",
      (on) => on.eventual({ confirmMisses: true }),
      { level: "eventual", confirmMisses: true },
    ],
    [
      "bounded(ms, options)",
      (on) => on.bounded(500, { waitMs: 50 }),
      { level: { maxStalenessMs: 500 }, waitMs: 50 },
    ],
    [
      "consistency(level, options)",
      (on) => on.consistency("session", { fallback: "error" }),
      { level: "session", fallback: "error" },
    ],
    [
      "consistency(options), which keeps the current level",
      (on) => on.consistency({ confirmMisses: true }),
      { level: "eventual", waitMs: 5, confirmMisses: true },
    ],
    [
      "consistency(list), whose policies without a level keep the current one",
      (on) => on.consistency([{ level: "session", withinMs: 5 }, { withinMs: 9 }, "strong"]),
      [{ level: "session", withinMs: 5 }, { level: "eventual", withinMs: 9 }, "strong"],
    ],
    [
      "consistency(list, options), with the options for each policy",
      (on) => on.consistency([{ maxStalenessMs: 500 }, "strong"], { fallback: "error" }),
      [
        { level: { maxStalenessMs: 500 }, fallback: "error" },
        { level: "strong", fallback: "error" },
      ],
    ],
  ])("accept %s", async (_what, mark, level) => {
    expect(await levelBehind({ level: "eventual", waitMs: 5 }, mark)).toEqual(level);
  });
});

describe("the markers of every entry", () => {
  it.each<[what: string, mark: Mark, message: RegExp]>([
    ["a time below 0", (on) => on.bounded(500, { waitMs: -1 }), /options\.waitMs: got -1\. Pass a number/],
    ["an invalid time", (on) => on.strong({ waitMs: Number.NaN }), /^strong\(\) options\.waitMs: got NaN/],
    [
      "a string for a flag",
      (on) => on.eventual({ confirmMisses: untyped("yes") }),
      /confirmMisses: got "yes"/,
    ],
    [
      "an unknown option",
      (on) => on.strong(untyped({ waitms: 5 })),
      /^strong\(\) options: there is no option "waitms"\. Did you mean "waitMs"\?/,
    ],
    ["an unknown fallback", (on) => on.strong({ fallback: untyped("replica") }), /Pass "primary" or "error"/],
    [
      "no options",
      (on) => on.eventual(untyped({})),
      /^eventual\(\) options: got an object\. Pass one or more of waitMs/,
    ],
    [
      "a number for options",
      (on) => on.strong(untyped(5)),
      /^strong\(\) options: got 5\. Pass an object with options, like \{ waitMs/,
    ],
    ["a level for options", (on) => on.eventual(untyped("strong")), /^eventual\(\) options: got "strong"/],
    [
      "a list for options",
      (on) => on.strong(untyped([{ waitMs: 5 }])),
      /^strong\(\) options: got an array.*waitMs/,
    ],
    ["a second level", (on) => on.bounded(500, untyped({ level: "strong" })), /^bounded\(ms\) options: got/],
    ["an empty list", (on) => on.consistency([]), /^consistency\(level\): got an empty array\. Pass 1 to 16/],
    [
      "an invalid policy",
      (on) => on.consistency(["session", untyped("fast")]),
      /^consistency\(level\)\[1\]: got a string/,
    ],
    ["an empty policy", (on) => on.consistency(untyped({})), /^consistency\(level\): got an object/],
    [
      "two levels in one policy",
      (on) => on.consistency(untyped({ level: "session", maxStalenessMs: 5 })),
      /^consistency\(level\): got both level and maxStalenessMs\. Pass only one of the two/,
    ],
  ])("refuse %s at once", async (_what, mark, message) => {
    const refused = expect.objectContaining({
      code: "TIDEMARK_INVALID_OPTION",
      message: expect.stringMatching(message),
    });
    for (const mount of [mark.bind(null, onExpress), mark.bind(null, onKoa), mark.bind(null, onFastify)])
      expect(mount).toThrow(refused);
  });

  it("refuse to be used as handlers", () => {
    for (const { strong, eventual } of [onExpress, onKoa, onFastify]) {
      expect(() => Reflect.apply(strong, undefined, [{}, {}, () => {}])).toThrow(/Call it: strong\(\)/);
      expect(() => Reflect.apply(eventual, undefined, [{}, {}])).toThrow(/Call it: eventual\(\)/);
    }
  });
});

describe("the level of readYourWrites and of a route", () => {
  const bad: readonly [unknown, RegExp][] = [
    [{ waitMs: "5" }, /waitMs: got a string/],
    [["session", { withinMs: -1 }], /\[1\]\.withinMs: got -1/],
    [{ waitms: 5 }, /there is no option "waitms"/],
  ];

  it.each(bad)("is refused when the app is created: %o", async (given, message) => {
    const [source, level] = [new HandMadeSessions(), untyped(given)];
    expect(() => onExpress.readYourWrites(source, { secret, level })).toThrow(message);
    expect(() => onKoa.readYourWrites(source, { secret, level })).toThrow(message);
    expect(() => onWeb(source, { secret, level })).toThrow(message);
    expect(() => onWeb(source, { secret })(() => new Response(), { level })).toThrow(message);
    const app = fastify();
    await expect(
      async () => await app.register(onFastify.readYourWrites, { tidemark: source, secret, level }),
    ).rejects.toThrow(message);
    const other = fastify();
    await other.register(onFastify.readYourWrites, { tidemark: source, secret });
    expect(() => other.get("/", { config: { consistency: level } }, async () => "")).toThrow(message);
  });
});
