/** A user adds something to the cart and reads the cart right after. */
import supertest from "supertest";
import { Tidemark } from "tidemark";

import { replicasAnswer, startServers } from "../servers.js";
import { show } from "../show.js";
import { cartApp } from "./app.js";

await using servers = await startServers();
await using tidemark = new Tidemark(servers);
await replicasAnswer(tidemark);
const app = await cartApp(tidemark, "a secret of this example");
const url = await app.listen({ host: "127.0.0.1", port: 0 });

const browser = supertest.agent(url);
await browser.post("/cart/ann/tea").expect(204);
show("the cart, right after tea was put in", (await browser.get("/cart/ann")).body, { tea: "1" });
await browser.post("/cart/ann/tea").expect(204);
show("to a stranger, whom any replica may answer", (await supertest(url).get("/cart/ann")).body);
show("to a stranger at the checkout", (await supertest(url).get("/checkout/ann")).body, { tea: "2" });
await app.close();
