/** A replica that is LOADING when a process starts: it is used as soon as its data is loaded. */
import { expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { replicaOf } from "../support/servers/failover.js";
import { endLoading, fill, isLoading, slowLoading } from "../support/servers/slow-loading.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });
/** Tidemark asks twice a second; the rest is for a slow machine and for the end of the synchronization. */
const soonMs = 2_500;

it("a replica answers reads about a second after it has loaded its data, even when ioredis would wait longer", async () => {
  const { primary } = stage.group;
  const replica = replicaOf(stage.group);
  await fill(primary);
  await slowLoading(replica);
  await replica.admin().call("DEBUG", "CHANGE-REPL-ID");
  await replica.replicate(undefined);
  await primary.admin().call("DEBUG", "CHANGE-REPL-ID");
  await replica.replicate(primary);
  await waitUntil(
    async () => {
      const info = await replica.info("persistence");
      return info.loading === "1" && Number(info.loading_eta_seconds) >= 5;
    },
    { what: "the replica will load for several seconds" },
  );
  const tidemark = new Tidemark({ primary: primary.url, replicas: [replica.url] });
  stage.owe({ stop: () => tidemark.close() });
  using routes = listenToRoutes();
  await waitUntil(() => tidemark.topology()[1]?.reason?.includes("LOADING") ?? false, {
    what: "topology() shows LOADING",
  });
  expect(await isLoading(replica)).toBe(true);
  await endLoading(replica);
  const loadedAt = performance.now();
  await waitUntil(
    async () => {
      await tidemark.session().redis.get("k");
      return routes.of("get").at(-1) === "replica:known";
    },
    { what: "the replica answers reads" },
  );
  expect(performance.now() - loadedAt).toBeLessThan(soonMs);
});
