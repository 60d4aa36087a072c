/** The metrics of a Tidemark on a meter of OpenTelemetry's own SDK. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Meter } from "@opentelemetry/api";
import { DataPointType, MeterProvider, type MetricData, MetricReader } from "@opentelemetry/sdk-metrics";
import { beforeEach, describe, expect, it } from "vitest";
import { routeChannel, type Tidemark } from "../../src/index.js";
import { registerMetrics } from "../../src/opentelemetry/opentelemetry.js";
import type { Routes } from "../support/listeners/routes.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { promotionIsNoticed } from "../support/servers/promotion.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { isWaiting } from "../support/stages/waiting-reads.js";
import { waitUntil } from "../support/wait-until.js";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Collects when the test asks for it. */
class TestReader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}

  /** The metrics of one collection by their names. */
  async read(): Promise<ReadonlyMap<string, MetricData>> {
    const { resourceMetrics, errors } = await this.collect();
    expect(errors).toEqual([]);
    const all = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics);
    return new Map(all.map((metric) => [metric.descriptor.name, metric]));
  }
}

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;
let reader: TestReader;
let meter: Meter;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

beforeEach(start);

function start(): void {
  reader = new TestReader();
  meter = new MeterProvider({ readers: [reader] }).getMeter("test");
}

type Point = readonly [attributes: Readonly<Record<string, unknown>>, value: unknown];

/** The values of a metric with their attributes. */
function pointsOf(data: MetricData | undefined): Point[] {
  return (data?.dataPoints ?? []).map(({ attributes, value }) => [attributes, value]);
}

/** The value of a metric that has one. */
function onlyValueOf(data: MetricData | undefined): unknown {
  const points = pointsOf(data);
  expect(points).toHaveLength(1);
  return points[0]?.[1];
}

async function useReads(on = tidemark): Promise<void> {
  const session = on.session();
  await session.redis.set("k", "v");
  await Promise.all([session.redis.get("k"), session.at("strong").get("k"), on.redis.get("k")]);
  await session.at({ maxStalenessMs: 5_000 }).get("other");
}

/** Lets reads wait for a replica. */
async function waitForReplica(): Promise<void> {
  holdReplicas(group);
  const session = tidemark.session();
  await session.redis.set("k", "new");
  const waiting = [1, 2, 3].map(() =>
    tidemark.session({ token: session.token() }).redis.at({ waitMs: 20_000 }).get("k"),
  );
  await isWaiting(group);
  await releaseReplicas(group);
  await Promise.all(waiting);
}

describe("The metrics on a meter", () => {
  it("are the counts of stats()", async () => {
    registerMetrics(tidemark, meter);
    await useReads();
    const read = await reader.read();
    const stats = tidemark.stats();
    expect(pointsOf(read.get("tidemark.commands"))).toEqual(
      stats.commands.map(({ role, reason, level, count }) => [
        { "tidemark.role": role, "tidemark.reason": reason, "tidemark.level": level },
        count,
      ]),
    );
    expect(pointsOf(read.get("tidemark.writes"))).toEqual([
      [{ "tidemark.position": "known" }, stats.writes.known],
      [{ "tidemark.position": "unknown" }, 0],
      [{ "tidemark.position": "not_live" }, 0],
    ]);
    expect(onlyValueOf(read.get("tidemark.lost_writes"))).toBe(0);
    expect(read.get("tidemark.commands")).toMatchObject({
      dataPointType: DataPointType.SUM,
      isMonotonic: true,
      descriptor: { unit: "{command}", description: expect.stringMatching(/^Commands sent to servers/) },
    });
  });

  it("are the counts of Redis", async () => {
    const calls = async (): Promise<number> => {
      const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
      // Replicas carry out the writes of the primary, too.
      const each = await Promise.all([
        group.primary.commandCalls("set"),
        ...servers.map((server) => server.commandCalls("get")),
      ]);
      return each.reduce((sum, one) => sum + one, 0);
    };
    const counted = async (): Promise<number> =>
      pointsOf((await reader.read()).get("tidemark.commands")).reduce(
        (sum, [, value]) => sum + Number(value),
        0,
      );
    registerMetrics(tidemark, meter);
    const before = [await calls(), await counted()];
    for (let i = 0; i < 10; i++) await useReads();
    const after = [await calls(), await counted()];
    const [byRedis, byMetrics] = after.map((count, index) => count - (before[index] ?? 0));
    expect(byMetrics).toBe(byRedis);
    expect(byMetrics).toBeGreaterThanOrEqual(50);
  });

  it("have the histograms of stats() in seconds, with their bounds", async () => {
    registerMetrics(tidemark, meter);
    await waitForReplica();
    const { ms } = tidemark.stats().waits;
    const data = (await reader.read()).get("tidemark.wait");
    expect(data?.descriptor.unit).toBe("s");
    const { buckets, count, sum } = onlyValueOf(data) as {
      buckets: { boundaries: number[]; counts: number[] };
      count: number;
      sum: number;
    };
    expect(buckets).toEqual({ boundaries: ms.bounds.map((bound) => bound / 1_000), counts: ms.counts });
    expect(count).toBe(3);
    expect(sum).toBeCloseTo(ms.sum / 1_000);
  });

  it("name each server by its address and port", async () => {
    registerMetrics(tidemark, meter);
    const read = await reader.read();
    const address = { "server.address": "127.0.0.1" };
    expect(pointsOf(read.get("tidemark.node_eligible"))).toEqual([
      [{ ...address, "server.port": group.primary.port, "tidemark.role": "primary" }, 1],
      ...group.replicas.map(({ server: { port } }) => [
        { ...address, "server.port": port, "tidemark.role": "replica" },
        1,
      ]),
    ]);
    expect(read.get("tidemark.node_eligible")?.dataPointType).toBe(DataPointType.GAUGE);
  });

  it("include servers that join later", async () => {
    await using other = openTidemark(group, { replicas: undefined as never });
    registerMetrics(other, meter);
    await waitUntil(() => other.topology().length === 3, { what: "the replicas are discovered" });
    await reader.read();
    await waitUntil(
      async () => {
        await useReads(other);
        return other.topology().some(({ catchUpMs }) => catchUpMs.counts.some((count) => count > 0));
      },
      { what: "a replica has caught up" },
    );
    const ports = pointsOf((await reader.read()).get("tidemark.catch_up")).map(([one]) => one["server.port"]);
    expect(ports).not.toEqual([]);
    expect(group.replicas.map(({ server }) => server.port)).toEqual(expect.arrayContaining(ports));
  });

  it("show 0 for a server that has another role now", async () => {
    const group = await startReplicationGroup({ replicas: 1 });
    try {
      await using other = openTidemark(group);
      await replicasAreEligible(other);
      registerMetrics(other, meter);
      await reader.read();
      const heir = await failOver(group, replicaOf(group));
      await promotionIsNoticed(other, heir);
      const points = pointsOf((await reader.read()).get("tidemark.node_lag"));
      const ofHeir = points.filter(([attributes]) => attributes["server.port"] === heir.port);
      expect(ofHeir.map(([attributes, value]) => [attributes["tidemark.role"], value])).toEqual([
        ["replica", 0],
        ["primary", 0],
      ]);
      const eligible = pointsOf((await reader.read()).get("tidemark.node_eligible"));
      expect(eligible.filter(([one]) => one["server.port"] === heir.port).map(([, value]) => value)).toEqual([
        0, 1,
      ]);
    } finally {
      await group.stop();
    }
  });

  it("are read together, once for each collection", async () => {
    let calls = 0;
    const counting = {
      stats: () => {
        calls += 1;
        return tidemark.stats();
      },
      topology: () => tidemark.topology(),
      mode: tidemark.mode,
      rollout: tidemark.rollout,
      limits: tidemark.limits,
    };
    registerMetrics(counting, meter);
    calls = 0;
    await reader.read();
    await reader.read();
    expect(calls).toBe(2);
  });

  it("end when they are unregistered", async () => {
    const unregister = registerMetrics(tidemark, meter);
    await waitForReplica();
    const before = await reader.read();
    unregister();
    unregister();
    await waitForReplica();
    const after = await reader.read();
    expect(tidemark.stats().waits.caughtUp).toBe(6);
    // The SDK repeats the last values.
    for (const name of ["tidemark.wait", "tidemark.commands"])
      expect(pointsOf(after.get(name))).toEqual(pointsOf(before.get(name)));
  });

  it("count once if they are registered twice", async () => {
    const [first, second] = [registerMetrics(tidemark, meter), registerMetrics(tidemark, meter)];
    await waitForReplica();
    const read = await reader.read();
    expect(onlyValueOf(read.get("tidemark.fallback_reads"))).toBe(tidemark.stats().fallback.reads);
    expect(onlyValueOf(read.get("tidemark.wait"))).toMatchObject({ count: 3 });
    first();
    await waitForReplica();
    expect(onlyValueOf((await reader.read()).get("tidemark.wait"))).toMatchObject({ count: 6 });
    second();
    await waitForReplica();
    expect(onlyValueOf((await reader.read()).get("tidemark.wait"))).toMatchObject({ count: 6 });
  });

  it("are the sums of several Tidemarks, or keep them apart by attributes", async () => {
    await using other = openTidemark(group);
    await replicasAreEligible(other);
    for (const each of [tidemark, other]) registerMetrics(each, meter);
    for (const each of [tidemark, other, other]) await each.session().redis.set("k", "v");
    const writes = (points: readonly Point[]): Point[] =>
      points.filter(([attributes]) => attributes["tidemark.position"] === "known");
    expect(writes(pointsOf((await reader.read()).get("tidemark.writes")))).toEqual([
      [{ "tidemark.position": "known" }, 3],
    ]);

    start();
    registerMetrics(tidemark, meter, { attributes: { cache: "one" } });
    registerMetrics(other, meter, { attributes: { cache: "two" } });
    expect(writes(pointsOf((await reader.read()).get("tidemark.writes")))).toEqual([
      [{ "tidemark.position": "known", cache: "one" }, 1],
      [{ "tidemark.position": "known", cache: "two" }, 2],
    ]);
  });

  it("do not keep a closed Tidemark alive", async () => {
    const open = async (): Promise<WeakRef<Tidemark>> => {
      const other = openTidemark(group);
      await replicasAreEligible(other);
      registerMetrics(other, meter, { operationDuration: true });
      await other.session().redis.set("k", "v");
      await other.close();
      return new WeakRef(other);
    };
    const closed = await open();
    await reader.read();
    // The messages that the test has kept refer to the Tidemark.
    routes.clear();
    await waitUntil(
      () => {
        collectGarbage();
        return closed.deref() === undefined;
      },
      { what: "the closed Tidemark is collected" },
    );
    routes[Symbol.dispose]();
    expect(routeChannel.hasSubscribers).toBe(true);
    await reader.read();
    expect(routeChannel.hasSubscribers).toBe(false);
  });

  it("refuse options that they do not know", () => {
    expect(() => registerMetrics(tidemark, meter, { duration: true } as never)).toThrow(/duration/);
  });
});

describe("operationDuration", () => {
  it("measures each command at the server whose answer counted", async () => {
    const unregister = registerMetrics(tidemark, meter, { operationDuration: true });
    const session = tidemark.session();
    await session.redis.set("k", "v");
    await session.at("strong").get("k");
    const data = (await reader.read()).get("db.client.operation.duration");
    const server = { "server.address": "127.0.0.1", "server.port": group.primary.port };
    const all = { "db.system.name": "redis", ...server, "tidemark.role": "primary" };
    expect(pointsOf(data)).toEqual([
      [{ ...all, "db.operation.name": "set" }, expect.objectContaining({ count: 1 })],
      [{ ...all, "db.operation.name": "get" }, expect.objectContaining({ count: 1 })],
    ]);
    expect(data?.descriptor.unit).toBe("s");
    unregister();
    await session.at("strong").get("k");
    expect(pointsOf((await reader.read()).get("db.client.operation.duration"))).toEqual(pointsOf(data));
  });
});
