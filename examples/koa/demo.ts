/** Something put into the cart, and the cart looked at right after. */
import supertest from "supertest";
import { Tidemark } from "tidemark";
import { serve } from "../../test/support/http/exchange.js";
import { replicasAnswer, startServers, tell } from "../stage.js";
import { cartApp } from "./app.js";

await using servers = await startServers();
await using tidemark = new Tidemark(servers);
await replicasAnswer(tidemark);
await using listening = await serve(cartApp(tidemark, "a secret of this example").callback());

const url = `http://127.0.0.1:${listening.port}`;
const browser = supertest.agent(url);
await browser.post("/cart/ann/tea").expect(204);
tell("the cart, right after tea was put in", (await browser.get("/cart/ann")).body, { tea: "1" });
await browser.post("/cart/ann/tea").expect(204);
tell("to a stranger, whom any replica may answer", (await supertest(url).get("/cart/ann")).body);
tell("to a stranger at the checkout", (await supertest(url).get("/checkout/ann")).body, { tea: "2" });
