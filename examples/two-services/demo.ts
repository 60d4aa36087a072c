/** A user orders at the shop. The stock service has to find the order, and the user has to find the reservation. */
import supertest from "supertest";
import { Tidemark } from "tidemark";
import { serve } from "../../test/support/http/exchange.js";
import { replicasAnswer, startServers } from "../servers.js";
import { show } from "../show.js";
import { shopApp } from "./shop.js";
import { stockApp } from "./stock.js";

const secret = "a secret of both services";

await using servers = await startServers();
await using shop = new Tidemark(servers);
await using stock = new Tidemark(servers);
await Promise.all([shop, stock].map(replicasAnswer));
await using stockServer = await serve(stockApp(stock, secret).callback());
const stockUrl = `http://127.0.0.1:${stockServer.port}`;
await using shopServer = await serve(shopApp(shop, { secret, stock: stockUrl }));

const browser = supertest.agent(`http://127.0.0.1:${shopServer.port}`);
show(
  "the stock service, asked by the shop for an order just made",
  (await browser.post("/orders/1/tea")).status,
  204,
);
show("the order as its user sees it then", (await browser.get("/orders/1")).body, {
  item: "tea",
  reserved: "yes",
});

await browser.post("/orders/2/tea");
show(
  "the stock service, asked without a token",
  (await fetch(`${stockUrl}/reservations/2`, { method: "POST" })).status,
);
