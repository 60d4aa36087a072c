/** When and how often an unusable replica causes a warning. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { NodeState } from "../../src/index.js";
import type { Shard } from "../../src/shard/shard.js";
import { ReplicaOutages } from "../../src/topology/replica-outages.js";

let outages: ReplicaOutages;
let said: string[];
let shard: ReturnType<typeof sceneOf>;
let now: number;

function sceneOf(primary: string) {
  return {
    primary: {},
    primaryAddress: primary,
    isPrimaryReady: true,
    history: { replid: "aa" },
    options: { hasArbiter: false, discovers: false },
  };
}

beforeEach(() => {
  [outages, said, now] = [new ReplicaOutages(), [], 1_000];
  shard = sceneOf("p:1");
  vi.spyOn(process, "emitWarning").mockImplementation((_message, options?: unknown) => {
    said.push(String(Reflect.get(Object(options), "code")).replace("TIDEMARK_REPLICA_", ""));
  });
  return () => vi.restoreAllMocks();
});

/** Has the replica be in `state` for so long, looked at twice a second. */
function stays(state: NodeState, ms: number, address = "r:1"): void {
  for (const until = now + ms; now < until; now += 500) {
    const asShard = shard as unknown as Shard;
    outages.observe(asShard, now);
    outages.check(asShard, { address, state, reason: "why", isCovered: false }, now);
  }
}

describe("an outage", () => {
  it.each<[NodeState, number]>([
    ["silent", 5_000],
    ["unauthorized", 5_000],
    ["unknown-history", 5_000],
    ["other-primary", 5_000],
    ["skewed", 5_000],
    ["loading", 30_000],
    ["syncing", 30_000],
  ])("%s causes one warning after %i ms, and another when it is over", (state, ms) => {
    stays("serving", 1_000);
    stays(state, ms);
    expect(said).toEqual([]);
    stays(state, 100_000);
    expect(said).toEqual(["UNUSABLE"]);
    stays("serving", 100_000);
    expect(said).toEqual(["UNUSABLE", "USABLE"]);
  });

  it("that ends in time causes no warning", () => {
    for (let i = 0; i < 10; i++) {
      stays("silent", 4_500);
      stays("serving", 500);
    }
    expect(said).toEqual([]);
  });

  it("lasts from the start when a server was never reached", () => {
    stays("starting", 4_000);
    stays("silent", 1_500);
    expect(said).toEqual(["UNUSABLE"]);
  });

  it("is not ended by connections that open and close", () => {
    for (let i = 0; i < 5; i++) {
      stays("silent", 2_000);
      stays("starting", 500);
    }
    expect(said).toEqual(["UNUSABLE"]);
  });

  it("causes one warning for each cause", () => {
    stays("silent", 10_000);
    stays("link-down", 10_000);
    stays("silent", 10_000);
    expect(said).toEqual(["UNUSABLE", "UNUSABLE"]);
    stays("serving", 1_000);
    expect(said).toEqual(["UNUSABLE", "UNUSABLE", "USABLE"]);
  });

  it("that recurs causes new warnings, up to five an hour for each server", () => {
    for (let i = 0; i < 20; i++) {
      stays("silent", 10_000);
      stays("serving", 10_000);
    }
    expect(said).toEqual(Array.from({ length: 5 }, () => ["UNUSABLE", "USABLE"]).flat());
    stays("silent", 10_000, "r:2");
    expect(said).toHaveLength(11);
    stays("serving", 3_600_000);
    stays("silent", 10_000);
    expect(said).toHaveLength(12);
  });

  it("causes no warning while the primary is gone, or for 15 s after that", () => {
    stays("serving", 1_000);
    shard.isPrimaryReady = false;
    stays("link-down", 60_000);
    shard.isPrimaryReady = true;
    stays("link-down", 14_500);
    expect(said).toEqual([]);
    stays("link-down", 1_500);
    expect(said).toEqual(["UNUSABLE"]);
  });

  it("causes no warning for 15 s after the primary was replaced", () => {
    stays("serving", 1_000);
    shard.primary = sceneOf("p:2").primary;
    stays("other-primary", 15_000);
    expect(said).toEqual([]);
    stays("other-primary", 1_500);
    expect(said).toEqual(["UNUSABLE"]);
  });

  it.each<NodeState>(["starting", "excluded"])("does not include the state %s", (state) => {
    stays(state, 100_000);
    expect(said).toEqual([]);
  });
});
