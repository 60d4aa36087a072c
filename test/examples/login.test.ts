/** The example's login: the page after the redirect finds the user, even if no replica has the session yet. */
import supertest from "supertest";
import { expect, it, vi } from "vitest";
import { loginApp } from "../../examples/login/app.js";
import { type Listening, serve } from "../support/http/exchange.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { type ExampleStage, stageExample } from "../support/stages/staged-example.js";

// Apps import the package by its name; here that name means the sources, not what was last built.
vi.mock("tidemark", () => import("../../src/index.js"));
vi.mock("tidemark/express", () => import("../../src/http/frameworks/express.js"));

const secret = "a secret of this test";
const users = Array.from({ length: 200 }, (_, i) => `user-${i}`);

let stage: ExampleStage;

stageExample((entered) => {
  stage = entered;
});

const browserOn = ({ port }: Listening) => supertest.agent(`http://127.0.0.1:${port}`);

it("shows 200 of 200 users logged in on the page after the login, over replicas 100 ms behind", async () => {
  await using listening = await serve(loginApp(stage.tidemark, secret));
  for (const { link } of stage.group.replicas) link.delay(100);
  const shown: unknown[] = [];
  for (const user of users) {
    const { body } = await browserOn(listening).post(`/login/${user}`).redirects(1).expect(200);
    shown.push(body.user);
  }
  expect(shown).toEqual(users);
});

it("shows no user logged in after the logout, over replicas that lag", async () => {
  await using listening = await serve(loginApp(stage.tidemark, secret));
  const browser = browserOn(listening);
  await browser.post("/login/ann").redirects(1).expect(200, { user: "ann" });
  await stage.group.caughtUp();
  holdReplicas(stage.group);
  await browser.post("/logout").redirects(1).expect(200, { user: null });
});

it("reads sessions from replicas once they have the sessions", async () => {
  const { group, tidemark } = stage;
  await using listening = await serve(loginApp(tidemark, secret));
  const browser = browserOn(listening);
  await browser.post("/login/ann").redirects(1);
  await group.caughtUp();
  const before = await group.primary.commandCalls("get");
  await browser.get("/").expect(200, { user: "ann" });
  expect(await group.primary.commandCalls("get")).toBe(before);
});
