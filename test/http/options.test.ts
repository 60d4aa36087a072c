/** Options of levels on real servers, and their effect for the users of every framework. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StaleReadMessage, Tidemark } from "../../src/index.js";
import { type Door, doors } from "../support/http/door.js";
import type { Scene } from "../support/http/framework-app.js";
import { TokenHolder } from "../support/http/token-holder.js";
import type { Routes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { isWaiting } from "../support/stages/waiting-reads.js";
import { waitUntil } from "../support/wait-until.js";

/** By `?set=text` writes, else reads, and tells whether the answer is stale. */
function notes(levels: Scene["levels"]): Scene {
  return {
    levels,
    handler: async ({ session, query }) => {
      const text = query.get("set");
      if (text !== null) await session.redis.set("k", text);
      const read = text === null ? await session.redis.get("k") : "written";
      return { body: JSON.stringify([read, session.stale]) };
    },
  };
}

describe("on real servers", () => {
  let group: ReplicationGroup;
  let tidemark: Tidemark;
  let routes: Routes;

  stageTidemark({ replicas: 2 }, (stage) => {
    ({ group, tidemark, routes } = stage);
  });

  describe.each(Object.entries(doors))("on %s", (_name, open) => {
    it("a user who follows a link to a new item finds the item, with confirmMisses on its route only", async () => {
      await using found = await open(tidemark, notes({ scope: "session", route: { confirmMisses: true } }));
      await using missed = await open(
        tidemark,
        notes({ scope: { confirmMisses: true }, route: { confirmMisses: false } }),
      );
      holdReplicas(group);
      await found.ask({ query: "set=new" });
      expect((await found.ask()).body).toBe('["new",false]');
      expect((await missed.ask()).body).toBe("[null,false]");
    });

    it("a read waits for a replica with waitMs on its route, combined with the options of its scope", async () => {
      await using door = await open(
        tidemark,
        notes({ scope: { maxStalenessMs: 5_000, fallback: "error" }, route: () => ({ waitMs: 20_000 }) }),
      );
      const user = new TokenHolder(door);
      holdReplicas(group);
      await user.ask({ query: "set=new" });
      routes.clear();
      const reading = user.ask({});
      await isWaiting(group);
      await releaseReplicas(group);
      expect((await reading).body).toBe('["new",false]');
      expect(routes.of("get").filter((route) => route.startsWith("primary:"))).toEqual([]);
    });
  });
});

describe("while the primary is gone", () => {
  const stage = stageGroup({ replicas: 2 });
  const told: StaleReadMessage[] = [];
  const listener = (message: unknown): void => {
    told.push(message as StaleReadMessage);
  };

  beforeEach(() => {
    told.length = 0;
    subscribe("tidemark:stale-read", listener);
  });

  afterEach(() => unsubscribe("tidemark:stale-read", listener));

  it("every framework marks an answer as stale when its route allows that, and reports it", async () => {
    const tidemark = await stage.open({ primaryTimeoutMs: 1_000 });
    const levels = { scope: "strong", route: { staleIfPrimaryGone: true } } as const;
    const open = Object.values(doors).map((one) => one(tidemark, notes(levels)));
    const opened: Door[] = await Promise.all(open);
    for (const door of opened) await door.ask({ query: "set=old" });
    await stage.group.caughtUp();
    expect((await opened[0]?.ask())?.body).toBe('["old",false]');
    expect(told).toEqual([]);
    await stage.group.primary.kill();
    await waitUntil(async () => (await opened[0]?.ask())?.body === '["old",true]', {
      what: "a stale answer is sent",
    });
    told.length = 0;
    for (const door of opened) expect((await door.ask()).body).toBe('["old",true]');
    expect(told.map(({ command }) => command)).toEqual(opened.map(() => "get"));
    await Promise.all(opened.map((door) => door[Symbol.asyncDispose]()));
  });
});
