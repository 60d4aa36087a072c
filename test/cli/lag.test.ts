/** The lag of replicas is measured at moments at which their primary has new writes. */
import { setInterval as every } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Deployment } from "../../src/cli/inspection/deployment.js";
import { type LagSampling, sampleLag } from "../../src/cli/inspection/lag.js";
import type { LagOfReplica } from "../../src/cli/inspection/measurements.js";
import { inspected } from "../support/cli/inspected.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";

let group: ReplicationGroup;
beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});
afterEach(() => group.stop());

/** Writes all the time until the test ends. */
function keepWriting(): void {
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const write = async () => {
    for await (const _ of every(5, undefined, { signal: ending.signal }))
      await group.primary.admin().set("k", "v");
  };
  write().catch(() => {});
}

async function sampled(sampling: Partial<LagSampling> = {}): Promise<Deployment> {
  const deployment = await inspected([group.primary.url], { depth: "roles" });
  await sampleLag(deployment, { seconds: 1, ...sampling });
  return deployment;
}

function lagOf({ lag }: Deployment, index: number): LagOfReplica {
  const port = group.replicas[index]?.server.port;
  const found = lag?.find(({ replica }) => replica === `127.0.0.1:${port}`);
  if (found === undefined) throw new Error("the replica was not sampled");
  return found;
}

describe("The lag sampler", () => {
  it("measures the delay of a link, also below its own interval", async () => {
    group.replicas[0]?.link.delay(80);
    keepWriting();
    const deployment = await sampled();
    const slow = lagOf(deployment, 0);
    const fast = lagOf(deployment, 1);
    expect(slow.ms.length).toBeGreaterThanOrEqual(3);
    expect(Math.min(...slow.ms)).toBeGreaterThan(40);
    expect(Math.min(...slow.bytes)).toBeGreaterThan(0);
    expect(Math.min(...fast.ms)).toBeLessThan(Math.min(...slow.ms));
    expect(deployment.activity).toMatchObject([{ bytes: expect.any(Number), fullResyncs: 0 }]);
  });

  it("counts no moment of an idle primary", async () => {
    const deployment = await sampled();
    expect(lagOf(deployment, 0)).toMatchObject({ bytes: [], ms: [], unknown: 0 });
    expect(deployment.activity).toMatchObject([{ bytes: 0 }]);
    expect(deployment.canaries).toBeUndefined();
    expect(await group.primary.commandCalls("set")).toBe(0);
  });

  it("counts an infinite time for a replica that stops, and the sampling ends with its signal", async () => {
    group.replicas[0]?.link.hold();
    keepWriting();
    const deployment = await sampled();
    const { ms, bytes } = lagOf(deployment, 0);
    expect(ms).toEqual(ms.map(() => Number.POSITIVE_INFINITY));
    expect(bytes.length).toBeGreaterThanOrEqual(3);
    expect(bytes.at(-1)).toBeGreaterThan(bytes[0] ?? 0);
    const ending = new AbortController();
    const endless = sampleLag(deployment, {
      seconds: 1_000,
      signal: ending.signal,
      onProgress: () => ending.abort(),
    });
    await endless;
  });

  it("follows a canary to each replica, and deletes it", async () => {
    const deployment = await sampled({ writesCanary: true });
    expect(deployment.canaries).toMatchObject([
      {
        key: expect.stringMatching(/^tidemark:doctor:[0-9a-f]{16}$/),
        moved: { kind: "value", value: expect.any(Number) },
        replicas: [0, 1].map(() => ({
          caughtUpMs: expect.any(Number),
          hasValue: { kind: "value", value: true },
        })),
      },
    ]);
    expect(lagOf(deployment, 0).ms.length).toBeGreaterThanOrEqual(3);
    expect(await group.primary.admin().keys("*")).toEqual([]);
  });
});
