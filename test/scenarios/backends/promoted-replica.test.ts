/** A replica that is promoted by its operator, and the old primary made its replica. */
import { beforeEach, expect, it } from "vitest";
import type { Tidemark } from "../../../src/index.js";
import { type BackendServer, describeOnServers } from "../../support/servers/backend.js";
import { callsOf } from "../../support/servers/info.js";
import { hasValue, isLinked, ServerStage } from "../../support/stages/server-stage.js";
import { waitUntil } from "../../support/wait-until.js";

function takesWritesAt(tidemark: Tidemark): string | undefined {
  return tidemark.topology()[0]?.address;
}

function addressOf({ host, port }: BackendServer): string {
  return `${host}:${port}`;
}

describeOnServers("a replica that is promoted", () => {
  const stage = ServerStage.set();
  let busy: Tidemark;

  beforeEach(async () => {
    busy = await stage.open();
    await stage.seed("k", "old");
  });

  /** All but the promoted one; they follow it. */
  function followers(): BackendServer[] {
    return [stage.primary, ...stage.replicas].filter((server) => server !== stage.victim);
  }

  async function promote(): Promise<void> {
    await stage.victim.replicate(undefined);
    await Promise.all(followers().map((server) => server.replicate(stage.victim)));
    await Promise.all(followers().map(isLinked));
  }

  /** Resolves when `busy`, which reads meanwhile, sends writes to the promoted one. */
  async function isNoticed(): Promise<void> {
    await waitUntil(
      async () => {
        await busy.session().redis.get("k");
        return takesWritesAt(busy) === addressOf(stage.victim);
      },
      { what: "the new primary is known" },
    );
  }

  it("takes the writes, and still has the earlier ones", async () => {
    const session = busy.session();
    await session.redis.set("before", "1");
    for (const replica of stage.replicas) await hasValue(replica, "before", "1");
    await promote();
    await isNoticed();
    await session.redis.set("k", "new");
    expect(await session.redis.mget("before", "k")).toEqual(["1", "new"]);
    expect(await stage.victim.admin().get("k")).toBe("new");
  });

  it("serves its tokens in a process that has not heard of the promotion", async () => {
    const idle = await stage.open();
    await promote();
    await isNoticed();
    await Promise.all(followers().map((server) => server.disconnect("servers")));
    const session = busy.session();
    await session.redis.set("k", "new");
    const token = session.token();
    for (let i = 0; i < 20; i++) expect(await idle.session({ token }).redis.get("k")).toBe("new");
    expect(takesWritesAt(idle)).toBe(addressOf(stage.victim));
    for (const server of followers()) expect(await server.admin().get("k")).toBe("old");
  });

  it("has the old primary as a replica that serves reads", async () => {
    await promote();
    await isNoticed();
    const session = busy.session();
    await session.redis.set("k", "new");
    const token = session.token();
    const before = await callsOf(stage.primary.admin(), "get");
    const seen = new Set<string | null>();
    await waitUntil(
      async () => {
        seen.add(await busy.session({ token }).redis.get("k"));
        return (await callsOf(stage.primary.admin(), "get")) > before + 5;
      },
      { what: "the old primary answers reads" },
    );
    expect([...seen]).toEqual(["new"]);
  });

  it("replaces a dead primary, and keeps its role when the old one comes back empty", async () => {
    const session = busy.session();
    await session.redis.set("before", "1");
    for (const replica of stage.replicas) await hasValue(replica, "before", "1");
    await stage.primary.kill();
    await stage.victim.replicate(undefined);
    const others = followers().filter((server) => server !== stage.primary);
    await Promise.all(others.map((server) => server.replicate(stage.victim)));
    await isNoticed();
    await session.redis.set("k", "new");
    await stage.primary.restart();
    expect(await stage.primary.admin().exists("before")).toBe(0);
    const token = session.token();
    for (let i = 0; i < 50; i++) {
      expect(await busy.session({ token }).redis.mget("before", "k")).toEqual(["1", "new"]);
    }
    expect(takesWritesAt(busy)).toBe(addressOf(stage.victim));
  });
});
