/** Differences between the clocks of servers, as measured with TIME. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { ClockSkew } from "../../src/node/clock-skew.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { ClockProxy } from "../support/proxies/clock-proxy.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { waitUntil } from "../support/wait-until.js";

/** A clock that was asked at 100 and answered at 110, by a server at `seconds` and `micros`. */
function clockAt(seconds: number, micros: number): ClockSkew {
  const clock = new ClockSkew();
  clock.record([String(seconds), String(micros)], 100, 110);
  return clock;
}

describe("ClockSkew", () => {
  it("reports in milliseconds how far a clock is ahead", () => {
    expect(clockAt(1030, 250_000).aheadOf(clockAt(1000, 0))).toBeCloseTo(30_250);
    expect(clockAt(1000, 0).aheadOf(clockAt(1030, 0))).toBeCloseTo(-30_000);
  });

  it("counts only the difference that network delays cannot explain", () => {
    expect(clockAt(1000, 511_000).differsFrom(clockAt(1000, 0), 500)).toBe(true);
    expect(clockAt(1000, 509_000).differsFrom(clockAt(1000, 0), 500)).toBe(false);
    expect(clockAt(1000, 0).differsFrom(clockAt(1000, 511_000), 500)).toBe(true);
  });

  it.each([[null], ["1000"], [["x", "y"]], [["1000"]], [[]]])("is unknown from the reply %j", (reply) => {
    const clock = new ClockSkew();
    clock.record(reply, 100, 110);
    expect(clock.aheadOf(clockAt(1000, 0))).toBeUndefined();
    expect(clock.differsFrom(clockAt(1000, 0), 1)).toBe(false);
  });

  it("is unknown after it was forgotten", () => {
    const clock = clockAt(1030, 0);
    clock.forget();
    expect(clock.aheadOf(clockAt(1000, 0))).toBeUndefined();
  });
});

describe("a replica whose clock is wrong", () => {
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

  it.each([30, -30])(
    "by %i seconds answers nothing at any level, and Tidemark reports why",
    async (seconds) => {
      proxy.aheadSeconds = seconds;
      await using tidemark = new Tidemark({
        primary: group.primary.url,
        replicas: [{ host: proxy.host, port: proxy.port }],
      });
      await waitUntil(
        async () => {
          await tidemark.session().redis.get("k");
          return tidemark.topology()[1]?.reason?.startsWith("its clock differs") === true;
        },
        { what: "topology() reports the clock difference" },
      );
      expect(tidemark.topology()[1]).toMatchObject({ eligible: false });
      expect(Math.round((tidemark.topology()[1]?.clockSkewMs ?? 0) / 1000)).toBe(seconds);
      using routes = listenToRoutes();
      for (const level of ["session", "eventual"] as const) await tidemark.session({ level }).redis.get("k");
      expect(routes.of("get").every((route) => route.startsWith("primary:"))).toBe(true);
    },
  );

  it("by less than maxClockSkewMs answers", async () => {
    proxy.aheadSeconds = 30;
    await using tidemark = new Tidemark({
      primary: group.primary.url,
      replicas: [{ host: proxy.host, port: proxy.port }],
      maxClockSkewMs: 60_000,
    });
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        const [, replica] = tidemark.topology();
        return replica?.eligible === true && replica.clockSkewMs !== undefined;
      },
      { what: "the replica is eligible and its clock is measured" },
    );
  });
});
