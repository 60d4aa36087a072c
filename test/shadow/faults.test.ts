/** The mode "shadow" while replicas are dead or frozen: the app notices nothing. */
import { expect, it } from "vitest";
import type { PolicyForecast, Tidemark } from "../../src/index.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });
const users = 5;

/** Users write their keys, and read them in their next requests. */
async function writeAndRead(tidemark: Tidemark): Promise<void> {
  for (let user = 0; user < users; user += 1) {
    const session = tidemark.session();
    await session.redis.set(`own:${user}`, "own");
    await waitUntil(async () => !session.lacksPosition, { what: "the position is known" });
    const later = tidemark.session({ token: session.token() });
    expect(await later.redis.get(`own:${user}`)).toBe("own");
  }
}

async function forecasts(tidemark: Tidemark): Promise<(PolicyForecast | undefined)[]> {
  await waitUntil(async () => tidemark.shadow.report().counts.ended >= users, { what: "all reads are over" });
  const { policies } = tidemark.shadow.report();
  return ["random-replica", "tidemark"].map((policy) => policies.find((one) => one.policy === policy));
}

it("dead replicas answer nothing, so every policy asks the primary", async () => {
  const tidemark = await stage.open({ shadowSample: 1 });
  tidemark.mode = "shadow";
  await Promise.all(stage.group.replicas.map(({ server }) => server.stop()));
  await waitUntil(
    async () => tidemark.topology().every(({ role, eligible }) => role === "primary" || !eligible),
    {
      what: "the replicas are known to be dead",
    },
  );
  await writeAndRead(tidemark);
  const [random, own] = await forecasts(tidemark);
  expect([random?.primaryShare.value, own?.primaryShare.value]).toEqual([1, 1]);
  expect(random?.missedOwnWrite.atMost.value).toBe(0);
});

it("what frozen replicas would have answered is unknown", async () => {
  const tidemark = await stage.open({ shadowSample: 1 });
  tidemark.mode = "shadow";
  for (const { server } of stage.group.replicas) server.pause();
  await writeAndRead(tidemark);
  const [random] = await forecasts(tidemark);
  for (const { server } of stage.group.replicas) server.resume();
  expect(random?.unknown).toBe(1);
  expect(random?.missedOwnWrite.atMost.value).toBeNaN();
});
