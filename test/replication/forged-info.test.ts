/** Anyone who can act as a replica can write into the INFO of its primary. Still no user misses a write. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { RewritingProxy } from "../support/proxies/rewriting-proxy.js";
import { forgeReplica } from "../support/servers/forging-replica.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

let group: ReplicationGroup;

beforeEach(() => {
  group = stage.group;
});

/** Counts how many of 40 sessions miss their own write while the replica lags, each through a token as on the web. */
async function missedBy(tidemark: Tidemark): Promise<number> {
  let missed = 0;
  for (let i = 0; i < 40; i++) {
    const writing = tidemark.session();
    await writing.redis.set("k", `${i}`);
    const reading = tidemark.session({ token: writing.token() });
    if ((await reading.redis.get("k")) !== `${i}`) missed += 1;
  }
  return missed;
}

async function replidOf({ primary }: ReplicationGroup): Promise<string> {
  return String((await primary.info("replication")).master_replid);
}

describe("a primary's INFO with fields forged by one of its replicas", () => {
  it.each<[string, (replid: string) => string]>([
    ["an earlier offset", (replid) => `1.1.1.1\r\nmaster_replid:${replid}\r\nmaster_repl_offset:2\r\nx:`],
    ["an earlier offset alone", () => "1.1.1.1\r\nmaster_repl_offset:2\r\nx:"],
    [
      "an earlier offset after a whole line",
      (replid) =>
        `1.1.1.1,port=1,state=online,offset=1,lag=0\r\nmaster_replid:${replid}\r\nmaster_repl_offset:2\r\nx:`,
    ],
    [
      "a change of the history",
      (replid) =>
        `1.1.1.1\r\nmaster_replid:${"ab".repeat(20)}\r\nmaster_replid2:${replid}\r\nsecond_repl_offset:99999999\r\nx:`,
    ],
    ["another role", () => "1.1.1.1\r\nrole:slave\r\nslave_repl_offset:1\r\nx:"],
  ])("hides no write by %s, and one warning says why the primary answers", async (_what, forgery) => {
    const tidemark = await stage.open();
    using warnings = listenToWarnings();
    using _forged = await forgeReplica(group.primary, forgery(await replidOf(group)));
    holdReplicas(group);
    expect(await missedBy(tidemark)).toBe(0);
    await waitUntil(() => warnings.of("TIDEMARK_POSITION_UNKNOWN").length > 0, {
      what: "a warning was emitted",
    });
    expect(warnings.of("TIDEMARK_POSITION_UNKNOWN")).toEqual([
      expect.stringContaining("INFO replication has a field twice or a line break in a value"),
    ]);
  });

  it("is trusted again when the forging replica is gone", async () => {
    const tidemark = await stage.open();
    {
      using _forged = await forgeReplica(group.primary, "1.1.1.1\r\nmaster_repl_offset:2\r\nx:");
      await tidemark.session().redis.set("k", "v");
      expect(tidemark.topology()[0]?.proof).toBe("none");
    }
    await replicasAreEligible(tidemark);
    using routes = listenToRoutes();
    const session = tidemark.session();
    await waitUntil(
      async () => {
        await session.redis.set("k", "v");
        await group.caughtUp();
        const reading = tidemark.session({ token: session.token() });
        await reading.redis.get("k");
        return routes.of("get").at(-1)?.startsWith("replica:") === true;
      },
      { what: "a replica answers after a write" },
    );
    expect(tidemark.topology()[0]?.proof).toBe("position");
  });
});

describe("a replica that claims an offset which its primary has not reached", () => {
  it.each<[string, (offset: string) => string, number]>([
    ["answers nothing if the offset is impossibly high", () => "900000000000", 0],
    ["answers nothing after its primary's next report", (offset) => `${Number(offset) + 100_000}`, 1],
  ])("%s, and one warning names it", async (_what, claim, missed) => {
    const [replica] = group.replicas;
    const proxy = await RewritingProxy.start({ targetPort: replica?.server.port ?? 0 });
    stage.owe(proxy);
    const tidemark = await stage.open({ replicas: [`redis://${proxy.host}:${proxy.port}`] });
    using warnings = listenToWarnings();
    holdReplicas(group);
    proxy.rewrite = (text) => text.replace(/(?<=slave_repl_offset:)\d+/, (offset) => claim(offset));
    expect(await missedBy(tidemark)).toBeLessThanOrEqual(missed);
    await waitUntil(() => warnings.of("TIDEMARK_POSITION_UNKNOWN").length > 0, {
      what: "a warning was emitted",
    });
    expect(warnings.of("TIDEMARK_POSITION_UNKNOWN")).toEqual([
      expect.stringContaining("which its primary has not reached"),
    ]);
    const status = tidemark.topology().find(({ role }) => role === "replica");
    expect(status).toMatchObject({ eligible: false, reason: expect.stringContaining("has not reached") });
    proxy.rewrite = (text) => text;
    await Promise.all(group.replicas.map(({ link }) => link.release()));
    await replicasAreEligible(tidemark);
  });
});
