/** The carrier that the documentation shows, compiled as it stands there and run on servers whose replicas are held back. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import express from "express";
import supertest from "supertest";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Carrier, readYourWrites } from "../../../src/http/frameworks/express.js";
import type { Tidemark } from "../../../src/index.js";
import { holdReplicas } from "../../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../../support/servers/replication-group.js";
import { root } from "../../support/sources/built-package.js";
import { InstalledPackage } from "../../support/sources/installed-package.js";
import { stageTidemark } from "../../support/stages/staged-tidemark.js";

let installed: InstalledPackage;
let carrier: Carrier;
let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  installed = await InstalledPackage.install(["ioredis", "@types/express", "@types/node"]);
  const pieces = (await readFile(join(root, "docs/carriers.md"), "utf8")).matchAll(/^```ts\n(.*?)^```/gms);
  const [piece = "", ...others] = [...pieces].flatMap(([, code = ""]) =>
    code.includes("clientState") ? [code] : [],
  );
  expect(others).toEqual([]);
  await installed.write("carrier.mts", piece);
  const compilerOptions = {
    target: "es2023",
    module: "nodenext",
    strict: true,
    skipLibCheck: true,
    types: ["node"],
  };
  await installed.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["carrier.mts"] }));
  await installed.tool("tsc", ["-p", "tsconfig.json"]);
  ({ clientState: carrier } = await import(pathToFileURL(installed.path("carrier.mjs")).href));
});

afterAll(() => installed[Symbol.asyncDispose]());

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

const secret = "a secret of this test";

it("carries tokens both ways, beside the other contents of its header", async () => {
  const app = express();
  app.use(readYourWrites(tidemark, { secret, carrier }));
  app.put("/:value", async ({ redis, params }, response) => {
    await redis.set("k", params.value);
    response.set("X-Client-State", "theme=dark").sendStatus(204);
  });
  app.get("/", async ({ redis }, response) => void response.send(String(await redis.get("k"))));
  holdReplicas(group);

  let state = "theme=dark";
  for (const value of ["first", "second"]) {
    const written = await supertest(app).put(`/${value}`).set("X-Client-State", state).expect(204);
    expect(written.headers).toMatchObject({ "cache-control": "private" });
    state = String(written.headers["x-client-state"]);
    expect(state).toMatch(/^theme=dark&token=[\w-]+$/);
    const read = await supertest(app).get("/").set("X-Client-State", state).expect(200, value);
    expect(read.headers).not.toHaveProperty("x-client-state");
  }
  await supertest(app).get("/").expect(200, "null");
  await supertest(app).get("/").set("X-Client-State", "token=forged").expect(200, "null");
});

it("re-encrypts tokens of an older secret", async () => {
  const secrets = [secret, "a newer secret of this test"];
  const app = (order: readonly string[]) =>
    express()
      .use(readYourWrites(tidemark, { secret: order, carrier }))
      .use(async ({ method, redis }, response) => {
        response.send(String(method === "PUT" ? await redis.set("k", "v") : await redis.get("k")));
      });
  holdReplicas(group);
  const written = await supertest(app(secrets)).put("/");
  const old = String(written.headers["x-client-state"]);
  const renewed = await supertest(app(secrets.toReversed()))
    .get("/")
    .set("X-Client-State", old)
    .expect(200, "v");
  const state = String(renewed.headers["x-client-state"]);
  expect(state).not.toBe(old);
  await supertest(app(secrets.slice(1)))
    .get("/")
    .set("X-Client-State", state)
    .expect(200, "v");
});
