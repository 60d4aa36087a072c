/** The reason why no replica may answer, in the error of a refused read. */
import { describe, it } from "vitest";
import { ReplicasBehindError } from "../../src/index.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

describe("a refused read", () => {
  it("says why no replica may answer, even when nobody listens to routes", async () => {
    const replicas = stage.group.replicas.map(({ server }) => server);
    const urls = replicas.map(({ url }) => url);
    const tidemark = await stage.open({ fallback: "error", replicas: urls });
    for (const replica of replicas) await replica.admin().replicaof("NO", "ONE");
    const isUnusable = async (): Promise<boolean> => {
      const { redis } = tidemark.session();
      const error = await redis.get("k").catch((failure: unknown) => failure);
      return error instanceof ReplicasBehindError && error.reason === "unusable";
    };
    await waitUntil(isUnusable, { what: "the read is refused because no replica can be used" });
  });
});
