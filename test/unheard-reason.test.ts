/** Why no replica may answer: found out for subscribers and for errors, since every replica is looked at for it. */
import { expect, it, vi } from "vitest";
import { whyNone } from "../src/choice.js";
import { ReplicasBehindError } from "../src/index.js";
import { holdReplicas } from "./support/held-replicas.js";
import { listenToRoutes } from "./support/routes.js";
import { stageGroup } from "./support/staged-group.js";
import { waitUntil } from "./support/wait-until.js";

vi.mock("../src/choice.js", async (load) => {
  const choice = await load<typeof import("../src/choice.js")>();
  return { ...choice, whyNone: vi.fn(choice.whyNone) };
});

const stage = stageGroup({ replicas: 2 });

it("is not looked for when nobody hears it", async () => {
  const tidemark = await stage.open();
  holdReplicas(stage.group);
  const session = tidemark.session();
  await session.redis.set("k", "new");
  const hasFallenBack = async (): Promise<void> => {
    using routes = listenToRoutes();
    const read = async (): Promise<boolean> => {
      await session.redis.get("k");
      return routes.of("get").at(-1) === "primary:behind";
    };
    await waitUntil(read, { what: "the replicas are known to be behind" });
  };
  await hasFallenBack();
  vi.mocked(whyNone).mockClear();
  for (let i = 0; i < 100; i++) await session.redis.get("k");
  expect(whyNone).not.toHaveBeenCalled();
  await hasFallenBack();
  expect(whyNone).toHaveBeenCalled();
});

it("is in the error of a refused read, although nobody hears of routes", async () => {
  const { group } = stage;
  const replicas = group.replicas.map(({ server }) => server.url);
  const tidemark = await stage.open({ fallback: "error", replicas });
  await Promise.all(group.replicas.map(({ server }) => server.admin().replicaof("NO", "ONE")));
  const isUnusable = async (): Promise<boolean> => {
    const error = await tidemark
      .session()
      .redis.get("k")
      .catch((failure: unknown) => failure);
    return error instanceof ReplicasBehindError && error.reason === "unusable";
  };
  await waitUntil(isUnusable, { what: "the read is refused because no replica can be used" });
});
