/** Users of an Express app behind Sentinels, while their primary is cut off and replaced. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import supertest from "supertest";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { LostWriteError, type Tidemark } from "../../src/index.js";
import { isPrimaryOf } from "../support/servers/promotion.js";
import { quickPeriods, type SentinelGroup, startSentinelGroup } from "../support/servers/sentinel-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openWatched } from "../support/stages/watched-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

/** The events of one user, in order. */
type Happening = { readonly wrote: number } | { readonly read: readonly number[] } | "told of a loss";

let group: SentinelGroup;
let tidemark: Tidemark;
let server: Server;

beforeEach(async () => {
  group = await startSentinelGroup({ periods: quickPeriods });
  tidemark = openWatched(group, { onLostWrite: "error" });
  await replicasAreEligible(tidemark);
  const app = express()
    .set("env", "test")
    .use(readYourWrites(tidemark, { secret: "a secret of this test" }));
  app.post("/:user/:entry", ({ redis, params }, response) => {
    const answer = (status: number) => response.sendStatus(status);
    redis.rpush(params.user, params.entry).then(
      () => answer(204),
      () => answer(503),
    );
  });
  app.get("/:user", ({ redis, params }, response) => {
    redis.lrange(params.user, 0, -1).then(
      (entries) => response.json(entries.map(Number)),
      (error: unknown) => response.sendStatus(error instanceof LostWriteError ? 409 : 503),
    );
  });
  server = app.listen(0, "127.0.0.1");
});

afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await tidemark.close();
  await group.stop();
});

/** Writes and reads by turns until `isOver`, then reads once more. */
async function live(user: string, isOver: () => boolean): Promise<readonly Happening[]> {
  const agent = supertest.agent(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const happenings: Happening[] = [];
  const read = async (): Promise<void> => {
    const { status, body } = await agent.get(`/${user}`);
    if (status === 200) happenings.push({ read: body });
    else if (status === 409) happenings.push("told of a loss");
  };
  for (let entry = 1; !isOver(); entry++) {
    const { status } = await agent.post(`/${user}/${entry}`);
    if (status === 204) happenings.push({ wrote: entry });
    await read();
  }
  await read();
  await read();
  return happenings;
}

/** The faults in the events of a user of whom only `kept` is left. */
function complaints(happenings: readonly Happening[], kept: ReadonlySet<number>): string[] {
  const known = new Set<number>();
  const found: string[] = [];
  let lost: number[] = [];
  for (const happening of happenings) {
    if (happening === "told of a loss") {
      if (lost.length === 0) found.push("told of a loss although all is there");
      lost = [];
    } else if ("read" in happening) {
      const missing = [...known].filter((entry) => !happening.read.includes(entry));
      if (missing.length > 0) found.push(`read without ${missing}`);
      for (const entry of happening.read) if (kept.has(entry)) known.add(entry);
    } else if (kept.has(happening.wrote)) known.add(happening.wrote);
    else lost.push(happening.wrote);
  }
  return lost.length === 0 ? found : [...found, `not told of the loss of ${lost}`];
}

it("each user reads their own write or is notified of its loss, and no other user is", async () => {
  const old = await group.primary();
  old.proxy.delay(20, 10);
  let isOver = false;
  const users = Array.from({ length: 10 }, (_, i) => `user-${i}`);
  const lives = users.map((user) => live(user, () => isOver));
  await waitUntil(async () => (await old.server.admin().dbsize()) === 10, { what: "every user has written" });
  old.proxy.cut("replicas", "sentinels");
  await group.events.first("+switch-master");
  const heir = await group.primary();
  await waitUntil(() => isPrimaryOf(tidemark, heir), { what: "the new primary is known" });
  const before = await heir.server.commandCalls("rpush");
  const isUsed = async (): Promise<boolean> => (await heir.server.commandCalls("rpush")) > before + 50;
  await waitUntil(isUsed, { what: "writes succeed again" });
  isOver = true;
  const histories = await Promise.all(lives);
  const kept = await Promise.all(users.map((user) => heir.server.admin().lrange(user, 0, -1)));
  const found = histories.map((history, i) => complaints(history, new Set(kept[i]?.map(Number))));
  expect(found).toEqual(users.map(() => []));
  expect(histories.flat()).toContain("told of a loss");
});
