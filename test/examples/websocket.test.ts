/** The example's notes: writes over HTTP are seen over the websocket, and the other way round. */
import { once } from "node:events";
import type { Server } from "node:http";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { notesServer } from "../../examples/websocket/app.js";
import { Page } from "../../examples/websocket/page.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { type ExampleStage, stageExample } from "../support/stages/staged-example.js";

// Apps import the package by its name; here that name means the sources, not what was last built.
vi.mock("tidemark", () => import("../../src/index.js"));
vi.mock("tidemark/express", () => import("../../src/http/frameworks/express.js"));
vi.mock("tidemark/http", () => import("../../src/http/http.js"));

let stage: ExampleStage;
let server: Server;
let page: Page;

stageExample((entered) => {
  stage = entered;
});

beforeEach(async () => {
  server = notesServer(stage.tidemark, "a secret of this test").listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  page = new Page(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`);
  holdReplicas(stage.group);
});

afterEach(async () => {
  await page[Symbol.asyncDispose]();
  server.close();
  server.closeAllConnections();
});

it("shows earlier HTTP writes over a websocket, by the cookies of its upgrade request", async () => {
  const { cookies } = await page.post("tea");
  await page.connect(cookies);
  expect((await page.send({})).notes).toEqual(["tea"]);
});

it("shows later HTTP writes over a websocket, by a token in a message", async () => {
  await page.connect();
  expect((await page.send({})).notes).toEqual([]);
  const { token } = await page.post("tea");
  expect((await page.send({ token })).notes).toEqual(["tea"]);
});

it("shows its own writes over a websocket", async () => {
  await page.connect();
  expect((await page.send({ add: "tea" })).notes).toEqual(["tea"]);
  expect((await page.send({ add: "honey" })).notes).toEqual(["tea", "honey"]);
});

it("shows websocket writes over HTTP, by the token that the websocket returned", async () => {
  await page.connect();
  const { token } = await page.send({ add: "tea" });
  expect(await page.get()).toEqual([]);
  expect(await page.get(token)).toEqual(["tea"]);
});

it("treats an invalid token as absent, and continues", async () => {
  await page.connect();
  expect((await page.send({ token: "forged" })).notes).toEqual([]);
  expect((await page.send({ add: "tea" })).notes).toEqual(["tea"]);
});
