/** The checks of clocks and expiry, on real servers. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checked, finding, findingsOf, inspected } from "../../support/cli/inspected.js";
import { ClockProxy } from "../../support/proxies/clock-proxy.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { waitUntil } from "../../support/wait-until.js";

describe("The check clock-skew", () => {
  let group: ReplicationGroup;
  let proxy: ClockProxy;
  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 1 });
    proxy = await ClockProxy.start({ targetPort: group.replicas[0]?.server.port ?? 0 });
  });
  afterAll(async () => {
    await proxy.stop();
    await group.stop();
  });

  const skewed = async (seconds: number, maxClockSkewMs: number) => {
    proxy.aheadSeconds = seconds;
    const urls = [group.primary.url, `redis://127.0.0.1:${proxy.port}`];
    const findings = await checked("clock-skew", urls, { settings: { maxClockSkewMs } });
    return findings.find(({ server }) => server === `127.0.0.1:${proxy.port}`);
  };

  it.each([
    [30, "ahead of"],
    [-30, "behind"],
  ])("fails a replica whose clock is off by %i seconds", async (seconds, direction) => {
    expect(await skewed(seconds, 1_000)).toEqual(finding("fail", direction, "maxClockSkewMs (1 s)"));
  });

  it("warns of more than half of maxClockSkewMs", async () => {
    expect(await skewed(3, 5_000)).toEqual(finding("warn", "ahead of", "more than half"));
  });

  it("passes clocks that agree", async () => {
    expect(await skewed(0, 1_000)).toEqual(finding("pass", "the primary's"));
  });

  it("names the rule if the user may not read the clock", async () => {
    const [replica] = group.replicas;
    for (const server of [group.primary, replica?.server]) {
      const rules = ["on", ">hush", "~*", "+@all", "-time"];
      await server?.admin().call("ACL", "SETUSER", "blind", ...rules);
    }
    const deployment = await inspected([`redis://blind:hush@127.0.0.1:${group.primary.port}`]);
    expect(findingsOf(deployment, "clock-skew")).toEqual([
      expect.objectContaining({
        verdict: "hidden",
        fix: expect.stringContaining("ACL SETUSER blind '+time'"),
      }),
    ]);
  });
});

describe("The check expired-keys", () => {
  it("warns while many expired keys wait for their deletion, and passes otherwise", async () => {
    await using server = await RedisServer.start();
    expect(await checked("expired-keys", [server.url])).toEqual([finding("pass", "about 0 %")]);
    const script = "for i = 1, 200000 do redis.call('SET', 'k' .. i, '', 'PX', 1) end";
    await server.admin().eval(script, 0);
    const isStale = async () => Number((await server.info("stats")).expired_stale_perc) > 20;
    await waitUntil(isStale, { what: "the server estimates many expired keys" });
    // Otherwise the estimate falls as soon as the keys are gone.
    await server.admin().call("DEBUG", "SET-ACTIVE-EXPIRE", "0");
    expect(await checked("expired-keys", [server.url])).toEqual([finding("warn", "have expired")]);
  });
});
