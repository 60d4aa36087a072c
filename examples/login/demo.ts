/** 200 logins, or another number that is given. The redirect follows each at once. */
import supertest from "supertest";
import { type Level, Tidemark } from "tidemark";
import { serve } from "../../test/support/http/exchange.js";
import { replicasAnswer, startServers } from "../servers.js";
import { show } from "../show.js";
import { loginApp } from "./app.js";

const logins = Number(process.argv[2] ?? 200);

await using servers = await startServers();
await using tidemark = new Tidemark(servers);
await replicasAnswer(tidemark);
console.log(`${logins} logins, each followed at once by its redirect: how many see that they are logged in`);
show("when any replica may answer", await loggedIn("eventual"));
show("when only replicas that have the user's writes may", await loggedIn("session"), logins);

/** How many of the users are logged in on the page after the redirect. */
async function loggedIn(level: Level): Promise<number> {
  await using listening = await serve(loginApp(tidemark, "a secret of this example", level));
  let count = 0;
  for (let i = 0; i < logins; i++) {
    const browser = supertest.agent(`http://127.0.0.1:${listening.port}`);
    const { body } = await browser.post(`/login/user-${i}`).redirects(1);
    if (body.user === `user-${i}`) count += 1;
  }
  return count;
}
