/** The example's import: its last event carries the token of the writes after the headers were sent. */
import supertest from "supertest";
import { expect, it, vi } from "vitest";
import { importApp } from "../../examples/streaming/app.js";
import { lastEvent } from "../../examples/streaming/last-event.js";
import { serve } from "../support/http/exchange.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { type ExampleStage, stageExample } from "../support/stages/staged-example.js";

// Apps import the package by its name; here that name means the sources, not what was last built.
vi.mock("tidemark", () => import("../../src/index.js"));
vi.mock("tidemark/express", () => import("../../src/http/frameworks/express.js"));

let stage: ExampleStage;

stageExample((entered) => {
  stage = entered;
});

it("shows the whole import to a client with the token of the last event, while no replica has the import", async () => {
  await using listening = await serve(importApp(stage.tidemark, "a secret of this test"));
  const url = `http://127.0.0.1:${listening.port}`;
  holdReplicas(stage.group);
  const { text } = await supertest(url).get("/import/ann,ben,cleo").expect(200);
  const imported = supertest(url).get("/imported").set("Consistency-Token", lastEvent(text));
  expect((await imported.expect(200)).body).toEqual(["ann", "ben", "cleo"]);
});
