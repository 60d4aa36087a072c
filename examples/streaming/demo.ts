/** A user imports three names and reads the list right after. */
import supertest from "supertest";
import { Tidemark } from "tidemark";
import { serve } from "../../test/support/http/exchange.js";
import { replicasAnswer, startServers } from "../servers.js";
import { show } from "../show.js";
import { importApp } from "./app.js";
import { lastEvent } from "./last-event.js";

await using servers = await startServers();
await using tidemark = new Tidemark(servers);
await replicasAnswer(tidemark);
await using listening = await serve(importApp(tidemark, "a secret of this example"));

const url = `http://127.0.0.1:${listening.port}`;
const { text } = await supertest(url).get("/import/ann,ben,cleo");
const imported = supertest(url).get("/imported").set("Consistency-Token", lastEvent(text));
show("asked with the token of the last event, what was imported is", (await imported).body, [
  "ann",
  "ben",
  "cleo",
]);
