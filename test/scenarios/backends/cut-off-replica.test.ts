/** Sessions whose replicas are disconnected from their primary without noticing. */
import { beforeEach, expect, it } from "vitest";
import type { Tidemark } from "../../../src/index.js";
import { listenToRoutes, type Routes } from "../../support/listeners/routes.js";
import { describeOnServers } from "../../support/servers/backend.js";
import { hasValue, ServerStage } from "../../support/stages/server-stage.js";
import { waitUntil } from "../../support/wait-until.js";

/** Longer than a test, so that nothing but their positions keeps the replicas from answering. */
const patience = { maxStalenessMs: 120_000, tokenTtlMs: 240_000 };

/** Resolves with all that is read until a replica answers. */
async function readUntilReplica(routes: Routes, read: () => Promise<string | null>): Promise<unknown[]> {
  const seen = new Set<string | null>();
  await waitUntil(
    async () => {
      routes.clear();
      seen.add(await read());
      return routes.of("get").at(-1)?.startsWith("replica:") === true;
    },
    { what: "a replica answers" },
  );
  return [...seen];
}

describeOnServers("a session whose replicas are cut off", () => {
  const stage = ServerStage.set();
  let tidemark: Tidemark;
  let other: Tidemark;

  beforeEach(async () => {
    // Before the cut, because the primary goes on: nobody who came later could tell how fresh a replica is.
    tidemark = await stage.open(patience);
    other = await stage.open(patience);
    await stage.seed("k", "old");
    await Promise.all(stage.replicas.map((replica) => replica.disconnect("servers")));
  });

  it("reads its write from the primary, and from a replica when the replicas are connected again", async () => {
    using routes = listenToRoutes();
    const session = tidemark.session();
    await session.redis.set("k", "new");
    for (let i = 0; i < 20; i++) expect(await session.redis.get("k")).toBe("new");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
    for (const replica of stage.replicas) expect(await replica.admin().get("k")).toBe("old");
    await Promise.all(stage.replicas.map((replica) => replica.connect()));
    expect(await readUntilReplica(routes, () => session.redis.get("k"))).toEqual(["new"]);
  });

  it("shares its write with every session that has its token", async () => {
    using routes = listenToRoutes();
    const session = tidemark.session();
    await session.redis.set("k", "new");
    const token = session.token();
    const read = (): Promise<string | null> => other.session({ token }).redis.get("k");
    for (let i = 0; i < 20; i++) expect(await read()).toBe("new");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
    await waitUntil(async () => (await other.session().redis.get("k")) === "old", {
      what: "a session without the token reads from a replica",
    });
    await Promise.all(stage.replicas.map((replica) => replica.connect()));
    expect(await readUntilReplica(routes, read)).toEqual(["new"]);
  });

  it("reads from the replica that is connected again, and not from the other", async () => {
    const session = tidemark.session();
    await session.redis.set("k", "new");
    await stage.victim.connect();
    await hasValue(stage.victim, "k", "new");
    const token = session.token();
    // One session would keep to the replica that it has begun with.
    const read = (): Promise<string | null> => tidemark.session({ token }).redis.get("k");
    using routes = listenToRoutes();
    expect(await readUntilReplica(routes, read)).toEqual(["new"]);
    for (let i = 0; i < 50; i++) expect(await read()).toBe("new");
  });
});
