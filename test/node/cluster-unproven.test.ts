/** A cluster whose ACL forbids INFO. No key is on every shard, so no marker key can replace positions. */
import { describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();
const keys = [keyIn(1), keyIn(6_000), keyIn(12_000)];
const asApp = { redis: { username: "app", password: "pw" } };

async function forbidInfo(): Promise<void> {
  for (const { server } of stage.group.nodes)
    await server.admin().call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-info");
}

describe("a cluster that forbids INFO", () => {
  it("answers reads only from its primaries", async () => {
    await forbidInfo();
    const [{ host, port } = { host: "", port: 0 }] = stage.group.nodes;
    await using tidemark = new Tidemark({ cluster: [`redis://${host}:${port}`], ...asApp });
    await tidemark.ready();
    const isAsked = () => tidemark.topology().every(({ proof }) => proof === "none");
    await waitUntil(isAsked, { what: "all servers have been asked" });
    stage.routes.clear();
    for (const level of ["session", "eventual"] as const)
      for (const key of keys) {
        const session = tidemark.session({ level });
        await session.redis.set(key, level);
        expect(await session.redis.get(key)).toBe(level);
      }
    expect(stage.routes.of("get").every((route) => route.startsWith("primary:"))).toBe(true);
  });
});
