/** Two Tidemarks whose middleware give requests the same names. */
import express from "express";
import Koa from "koa";
import supertest from "supertest";
import { expect, it } from "vitest";
import * as onExpress from "../../src/http/frameworks/express.js";
import * as onKoa from "../../src/http/frameworks/koa.js";
import * as onWeb from "../../src/http/frameworks/web.js";
import { listenToWarnings, type Warnings } from "../support/listeners/warnings.js";
import { HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { waitUntil } from "../support/wait-until.js";

const code = "TIDEMARK_SAME_PROPERTIES";
const secret = "a secret of this test";
const other = { redis: "otherRedis", consistency: "otherSession" };

/** Process warnings come a turn later. */
async function saidIn(warnings: Warnings): Promise<readonly string[]> {
  process.emitWarning("the last", { code: "LAST" });
  await waitUntil(() => warnings.of("LAST").length > 0, { what: "all warnings were emitted" });
  return warnings.inFull(code);
}

type Options = readonly onExpress.PropertyNames[];

const apps: Readonly<
  Record<string, (sources: readonly HandMadeSessions[], names: Options) => Promise<void>>
> = {
  Express: async (sources, names) => {
    const app = express();
    for (const [i, source] of sources.entries())
      app.use(onExpress.readYourWrites(source, { secret, properties: names[i] ?? {} }));
    app.use((_request, response) => void response.sendStatus(204));
    for (let i = 0; i < 3; i++) await supertest(app).get("/").expect(204);
  },
  Koa: async (sources, names) => {
    const app = new Koa();
    for (const [i, source] of sources.entries())
      app.use(onKoa.readYourWrites(source, { secret, properties: names[i] ?? {} }));
    app.use((ctx) => {
      ctx.status = 204;
    });
    for (let i = 0; i < 3; i++) await supertest(app.callback()).get("/").expect(204);
  },
};

const two = (): readonly HandMadeSessions[] => [new HandMadeSessions(), new HandMadeSessions()];

it.each(Object.entries(apps))(
  "the same property names cause one warning with the remedy, on %s",
  async (_name, answer) => {
    using warnings = listenToWarnings();
    await answer(two(), []);
    expect(await saidIn(warnings)).toEqual([
      expect.stringMatching(
        /same names .*"redis" and "consistency".*properties: \{ redis: .*cookie\(\{ prefix/,
      ),
    ]);
  },
);

it.each(Object.entries(apps))(
  "other names or the same Tidemark cause no warning, on %s",
  async (_name, answer) => {
    using warnings = listenToWarnings();
    await answer(two(), [{}, other]);
    const one = new HandMadeSessions();
    await answer([one, one], []);
    expect(await saidIn(warnings)).toEqual([]);
  },
);

it("two Tidemarks on tidemark/web cause no warning, because it sets no properties", async () => {
  using warnings = listenToWarnings();
  const [outer, inner] = two().map((source) => onWeb.readYourWrites(source, { secret }));
  const handler = outer?.(inner?.(() => new Response("answered")) ?? (() => new Response("")));
  await handler?.(new Request("http://localhost/"));
  expect(await saidIn(warnings)).toEqual([]);
});
