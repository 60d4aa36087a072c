/** The rule that stops a rollout by itself. */
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import {
  type ModeMessage,
  modeChannel,
  type RecentOutcomes,
  type StopRule,
  type Tidemark,
} from "../../src/index.js";
import { listenToWarnings, type Warnings } from "../support/listeners/warnings.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

let group: ReplicationGroup;
let warnings: Warnings;
let heard: ModeMessage[];
/** What Tidemarks call every five seconds. */
let looks: Map<NodeJS.Timeout, () => void>;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group } = stage);
});

const listener = (message: ModeMessage): void => {
  heard.push(message);
};

beforeEach(() => {
  heard = [];
  warnings = listenToWarnings();
  modeChannel.subscribe(listener);
  const { setInterval: set, clearInterval: clear } = globalThis;
  looks = new Map();
  vi.spyOn(globalThis, "setInterval").mockImplementation((callback: () => void, ms?: number) => {
    const timer = set(callback, ms);
    if (ms === 5_000) looks.set(timer, callback);
    return timer;
  });
  vi.spyOn(globalThis, "clearInterval").mockImplementation((timer) => {
    if (typeof timer === "object") looks.delete(timer);
    clear(timer);
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  modeChannel.unsubscribe(listener);
  warnings[Symbol.dispose]();
});

async function open(stopWhen: StopRule, rollout = 1): Promise<Tidemark> {
  const tidemark = openTidemark(group, { stopWhen, rollout });
  onTestFinished(() => tidemark.close());
  await replicasAreEligible(tidemark);
  return tidemark;
}

/** Lets the rule look at what has happened, as it does every five seconds. */
function look(times = 1): void {
  for (let i = 0; i < times; i += 1) for (const callback of looks.values()) callback();
}

const never: StopRule = () => false;

/** What the rule sees after the commands of `run`. */
async function seenAfter(
  run: (tidemark: Tidemark) => Promise<unknown>,
  rollout = 1,
): Promise<RecentOutcomes> {
  const tidemark = await open(never, rollout);
  tidemark.mode = "off";
  tidemark.mode = "live";
  await run(tidemark);
  const { recent } = tidemark.stats().rollout;
  if (recent === undefined) throw new Error("there is a rule, but it knows nothing");
  return recent;
}

describe("sees", () => {
  it("the commands of included users apart from those of others", async () => {
    const { live, others } = await seenAfter(async (tidemark) => {
      for (let i = 0; i < 3; i += 1) await tidemark.session({ rollout: true }).redis.get("key");
      await tidemark.session({ rollout: false }).redis.set("key", "value");
      await tidemark.redis.get("key");
    }, 0.5);
    expect([live.commands, others.commands]).toEqual([3, 1]);
    expect([live.errorRate, others.errorRate]).toEqual([0, 0]);
  });

  it("how long the commands took", async () => {
    const { live } = await seenAfter(async (tidemark) => {
      const session = tidemark.session();
      for (let i = 0; i < 60; i += 1) await session.redis.get("key");
      await session.redis.eval(
        "local t = redis.call('time') repeat local n = redis.call('time') until (n[1]-t[1])*1e6+n[2]-t[2] > 200000",
        0,
      );
    });
    expect(live.commands).toBe(61);
    expect(live.p99Ms).toBeGreaterThan(200);
    expect(live.p50Ms).toBeLessThan(live.p99Ms);
    expect(live.p50Ms).toBeGreaterThan(0);
  });

  it("the share of the reads that the primary answered", async () => {
    const { live } = await seenAfter(async (tidemark) => {
      const reader = tidemark.session();
      for (let i = 0; i < 3; i += 1) await reader.redis.get("key");
      holdReplicas(group);
      const writer = tidemark.session();
      await writer.redis.set("own", "value");
      await writer.redis.get("own");
      await writer.at("strong").get("own");
    });
    expect(live.primaryShare).toBe(0.25);
  });

  it("errors of servers and connections, but not those that commands cause", async () => {
    const { live } = await seenAfter(async (tidemark) => {
      const session = tidemark.session();
      await session.redis.set("text", "value");
      await expect(session.redis.lpush("text", "value")).rejects.toThrow("WRONGTYPE");
      session.replicated(5, { timeoutMs: 10 });
      await expect(session.redis.set("text", "value")).rejects.toThrow("replicas");
    });
    expect(live).toMatchObject({ commands: 3, errorRate: 1 / 3 });
  });

  it("no numbers where there were no commands, so that no comparison holds", async () => {
    const { live, others } = await seenAfter(async () => {});
    expect(live).toEqual({ commands: 0, errorRate: NaN, p50Ms: NaN, p99Ms: NaN, primaryShare: NaN });
    expect(others).toEqual({ commands: 0, errorRate: NaN, p50Ms: NaN, p99Ms: NaN });
  });

  it("only the last minute", async () => {
    const tidemark = await open(never);
    await tidemark.session().redis.get("key");
    const commands = (): number => tidemark.stats().rollout.recent?.live.commands ?? 0;
    expect(commands()).toBeGreaterThan(0);
    look(11);
    expect(commands()).toBeGreaterThan(0);
    look(1);
    expect(commands()).toBe(0);
  });
});

it.each<[string, StopRule, string]>([
  ["true", () => true, "the rule stopWhen returned true"],
  ["a reason", ({ live }) => (live.commands > 0 ? "too slow" : undefined), "too slow"],
  [
    "nothing because it throws",
    () => {
      throw new Error("a bug");
    },
    "the rule stopWhen threw an error (a bug)",
  ],
])("a rule that returns %s stops the rollout, and this is reported", async (_what, rule, cause) => {
  const tidemark = await open(rule, 0.25);
  expect(tidemark.mode).toBe("live");
  look();
  expect(tidemark.mode).toBe("off");
  expect(tidemark.session({ rollout: true }).isLive).toBe(false);
  expect(heard).toEqual([
    { tidemark, mode: "off", rollout: 0.25, before: { mode: "live", rollout: 0.25 }, cause },
  ]);
  expect(tidemark.stats().rollout).toMatchObject({ mode: "off", share: 0.25, stopped: 1 });
  await expect
    .poll(() => warnings.of("TIDEMARK_ROLLOUT_STOPPED"))
    .toEqual([`Tidemark has stopped its rollout, and every command goes to the primary: ${cause}.`]);
  look(3);
  expect(tidemark.stats().rollout.stopped).toBe(1);
  tidemark.mode = "live";
  expect(tidemark.mode).toBe("live");
});

it("a rule that does not hold stops nothing", async () => {
  const tidemark = await open(
    ({ live, others }) => live.p99Ms > 2 * others.p99Ms && "slower than without replicas",
  );
  await tidemark.session().redis.get("key");
  look(20);
  expect(tidemark.mode).toBe("live");
  expect(heard).toEqual([]);
});

it("a closed Tidemark asks no rule", async () => {
  let asked = 0;
  const tidemark = await open(() => {
    asked += 1;
    return false;
  });
  look();
  await tidemark.close();
  look(3);
  expect(asked).toBe(1);
});

it("refuses what is no rule", () => {
  const given: { stopWhen: unknown } = { stopWhen: { p99Ms: 50 } };
  expect(() => Reflect.apply(openTidemark, undefined, [group, given])).toThrow(
    "Pass a function like ({ live }) => live.errorRate > 0.01",
  );
});
