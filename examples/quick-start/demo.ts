/** Runs the app as a process of its own, with a user who adds an item and looks at the cart at once. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import supertest from "supertest";
import { freePort } from "../../test/support/servers/free-port.js";
import { startServers } from "../servers.js";
import { show } from "../show.js";

await using servers = await startServers();
const port = await freePort();
const app = spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "app.ts")], {
  env: {
    ...process.env,
    PRIMARY: servers.primary,
    REPLICAS: servers.replicas.join(","),
    TIDEMARK_SECRET: "a secret of this example",
    PORT: String(port),
  },
  stdio: ["ignore", "pipe", "inherit"],
});
try {
  await once(app.stdout, "data");
  const browser = supertest.agent(`http://127.0.0.1:${port}`);
  await browser.post("/cart/ann/tea").expect(204);
  show("the cart, right after tea was added", (await browser.get("/cart/ann")).body, { tea: "1" });
  await browser.post("/cart/ann/tea").expect(204);
  show("the checkout, right after more tea", (await browser.get("/checkout/ann")).body, { tea: "2" });
} finally {
  app.kill("SIGTERM");
  await once(app, "exit");
}
