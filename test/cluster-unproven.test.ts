/** A cluster whose ACL forbids INFO: no key is on every shard, so that no marker stands for positions. */
import { describe, expect, it } from "vitest";
import { type CommonOptions, Tidemark } from "../src/index.js";
import { keyIn, stageCluster } from "./support/staged-cluster.js";
import { waitUntil } from "./support/wait-until.js";

const stage = stageCluster();
const keys = [keyIn(1), keyIn(6_000), keyIn(12_000)];
const asApp = { redis: { username: "app", password: "pw" } };

async function forbidInfo(): Promise<void> {
  for (const { server } of stage.group.nodes)
    await server.admin().call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-info");
}

describe("a cluster that forbids INFO", () => {
  it("is read from at its primaries, by default", async () => {
    await forbidInfo();
    const [{ host, port } = { host: "", port: 0 }] = stage.group.nodes;
    await using tidemark = new Tidemark({ cluster: [`redis://${host}:${port}`], ...asApp });
    await tidemark.ready();
    const isAsked = () => tidemark.topology().every(({ proof }) => proof === "none");
    await waitUntil(isAsked, { what: "all have been asked" });
    stage.routes.clear();
    for (const level of ["session", "eventual"] as const)
      for (const key of keys) {
        const session = tidemark.session({ level });
        await session.redis.set(key, level);
        expect(await session.redis.get(key)).toBe(level);
      }
    expect(stage.routes.of("get").every((route) => route.startsWith("primary:"))).toBe(true);
  });

  it("is read from at its replicas by who has written nothing, where that was chosen", async () => {
    await forbidInfo();
    const options: CommonOptions = { ...asApp, unproven: "window", maxStalenessMs: 500, tokenTtlMs: 1_000 };
    const tidemark = await stage.open(options);
    expect(new Set(tidemark.topology().map(({ proof }) => proof))).toEqual(new Set(["window"]));
    for (const key of keys) await tidemark.redis.set(key, "v");
    await stage.group.ready();
    for (const key of keys) {
      const isAnswered = async () => {
        stage.routes.clear();
        expect(await tidemark.session().redis.get(key)).toBe("v");
        return stage.routes.of("get").at(-1) === "replica:window";
      };
      // Not before all slots have been where they are for so long.
      await waitUntil(isAnswered, { what: "its replica answers" });
      stage.routes.clear();
      expect(await tidemark.session().redis.get(`${key}-missing`)).toBe(null);
      expect(stage.routes.of("get")).toEqual(["replica:window", "primary:missing-key"]);
    }
  });
});
