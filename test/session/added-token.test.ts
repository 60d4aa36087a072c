/** A token that is added to a session after it has read: the session then sees the writes of another process. */
import { expect, it } from "vitest";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { type Stage, stageTidemark } from "../support/stages/staged-tidemark.js";

let stage: Stage;

stageTidemark({ replicas: 2 }, (entered) => {
  stage = entered;
});

it("an added token holds back stale reads even after the session has read newer data on the primary", async () => {
  const { group, tidemark } = stage;
  await using elsewhere = openTidemark(group);
  for (let round = 1; round <= 10; round++) {
    const session = tidemark.session();
    await session.at("strong").get("key");
    // Later than that read, so that it stands for it; and replicas are known to have it.
    const bystander = tidemark.session();
    await bystander.redis.set("other", round);
    await group.caughtUp();
    holdReplicas(group);
    await Promise.all(
      group.replicas.map(() => tidemark.session({ token: bystander.token() }).redis.get("key")),
    );
    const worker = elsewhere.session();
    await worker.redis.set("key", round);
    session.add(worker.token());
    expect(await session.redis.get("key")).toBe(String(round));
    await releaseReplicas(group);
  }
});

it("replicas answer again once they have the writes of an added token", async () => {
  const { group, tidemark, routes } = stage;
  await using elsewhere = openTidemark(group);
  const [session, worker] = [tidemark.session(), elsewhere.session()];
  await session.redis.get("key");
  await worker.redis.set("key", "value");
  session.add(worker.token());
  await group.caughtUp();
  routes.clear();
  expect(await session.redis.get("key")).toBe("value");
  expect(routes.of("get")).toEqual([expect.stringMatching(/^replica:/)]);
});
