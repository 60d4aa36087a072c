/** Sessions on a Redis Cluster whose slots stay where they are. */
import { describe, expect, it } from "vitest";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();
/** One for each shard. */
const [a, b, c] = [keyIn(1), keyIn(6_000), keyIn(12_000)];

/** Holds back what the replicas of the shard with that slot get. */
async function hold(slot: number): Promise<void> {
  (await stage.group.primaryOf(slot)).proxy.hold();
}

describe("reads on a cluster", () => {
  it("of a session that has written to several shards find every write, on replicas that have it", async () => {
    const tidemark = await stage.open();
    const session = tidemark.session();
    await Promise.all([session.redis.set(a, "1"), session.redis.set(b, "2"), session.redis.set(c, "3")]);
    await stage.group.ready();
    const read = () => Promise.all([a, b, c].map((key) => session.redis.get(key)));
    await waitUntil(
      async () => {
        stage.routes.clear();
        expect(await read()).toEqual(["1", "2", "3"]);
        return stage.routes.of("get").every((route) => route.startsWith("replica"));
      },
      { what: "replicas answer" },
    );
  });

  it("go to the primary of the shard whose replica is behind, and to the replicas of the others", async () => {
    const tidemark = await stage.open();
    await hold(6_000);
    const session = tidemark.session();
    await session.redis.set(a, "new a");
    await session.redis.set(b, "new b");
    const primary = await stage.group.primaryOf(1);
    await waitUntil(
      async () => {
        stage.routes.clear();
        expect(await session.redis.get(a)).toBe("new a");
        return stage.routes.of("get").at(-1)?.startsWith("replica:") ?? false;
      },
      { what: `a replica of ${primary.port} answers` },
    );
    stage.routes.clear();
    expect(await session.redis.get(b)).toBe("new b");
    expect(stage.routes.of("get").at(-1)).toMatch(/^primary:(behind|check-failed)$/);
  });

  it("with a token of two shards see its writes in another process", async () => {
    const [writer, reader] = [await stage.open(), await stage.open()];
    await hold(1);
    await hold(6_000);
    const session = writer.session();
    await session.redis.set(a, "for b");
    await session.redis.set(b, "for a");
    const token = session.token();
    const other = reader.session({ token });
    for (const [key, value] of [
      [a, "for b"],
      [b, "for a"],
    ] as const) {
      stage.routes.clear();
      expect(await other.redis.get(key)).toBe(value);
      expect(stage.routes.of("get").at(-1)).toMatch(/^primary:/);
    }
  });
});
