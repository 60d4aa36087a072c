/** A note is added in each of the two ways and read in the other, before replicas have it. */
import { once } from "node:events";
import { Tidemark } from "tidemark";
import { replicasAnswer, startServers } from "../servers.js";
import { show } from "../show.js";
import { notesServer } from "./app.js";
import { Page } from "./page.js";

await using servers = await startServers();
await using tidemark = new Tidemark(servers);
await replicasAnswer(tidemark);
const server = notesServer(tidemark, "a secret of this example").listen(0, "127.0.0.1");
await once(server, "listening");
const address = server.address();
await using page = new Page(`http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`);

const { cookies } = await page.post("tea");
await page.connect(cookies);
show("written over HTTP, then asked for over a new websocket", (await page.send({})).notes, ["tea"]);
const { notes, token } = await page.send({ add: "honey" });
show("written and read over the websocket", notes, ["tea", "honey"]);
show("asked for over HTTP with the token that the websocket gave", await page.get(token), ["tea", "honey"]);
show("the same without it", await page.get());
server.close();
