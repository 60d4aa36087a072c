/** Checks of the lag: each fires on replicas that lag too much, and on no others. */
import { setInterval as every } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Deployment } from "../../../src/cli/inspection/deployment.js";
import { sampleLag } from "../../../src/cli/inspection/lag.js";
import { findingsOf, type Inspected, inspected } from "../../support/cli/inspected.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";

let group: ReplicationGroup;
beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});
afterEach(() => group.stop());

async function sampled(options: Inspected = {}): Promise<Deployment> {
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const write = async () => {
    for await (const _ of every(5, undefined, { signal: ending.signal }))
      await group.primary.admin().set("k", "v");
  };
  write().catch(() => {});
  const deployment = await inspected([group.primary.url], { depth: "roles", ...options });
  await sampleLag(deployment, { seconds: 1 });
  return deployment;
}

describe("The check of the lag", () => {
  it("passes for a replica that follows at once, with quantiles in ms and bytes", async () => {
    expect(findingsOf(await sampled(), "lag")).toMatchObject([
      {
        verdict: "pass",
        found: expect.stringMatching(/\(p50\), .* \(p99\), .* \(max\)\. Behind by .* \(p99\)$/),
      },
    ]);
  });

  it("warns of a replica that comes near maxStalenessMs, and fails for one that is beyond it", async () => {
    group.replicas[0]?.link.delay(120);
    expect(findingsOf(await sampled({ settings: { maxStalenessMs: 100 } }), "lag")).toMatchObject([
      { verdict: "fail" },
    ]);
    expect(findingsOf(await sampled({ settings: { maxStalenessMs: 200 } }), "lag")).toMatchObject([
      { verdict: "warn" },
    ]);
    expect(findingsOf(await sampled({ settings: { maxStalenessMs: 10_000 } }), "lag")).toMatchObject([
      { verdict: "pass" },
    ]);
  });

  it("does not judge an idle primary, and names --write-canary", async () => {
    const deployment = await inspected([group.primary.url], { depth: "roles" });
    await sampleLag(deployment, { seconds: 0.5 });
    for (const check of ["lag", "replica-share"])
      expect(findingsOf(deployment, check)).toMatchObject([
        { verdict: "skip", found: expect.stringContaining("--write-canary") },
      ]);
  });
});

describe("The check of the reads that replicas can take", () => {
  it("says the share for each think time", async () => {
    group.replicas[0]?.link.delay(150);
    const settings = { thinkMs: [1, 60_000] };
    expect(findingsOf(await sampled({ settings }), "replica-share")).toMatchObject([
      {
        verdict: "pass",
        found: "of the reads that follow a write, replicas can take 0 % after 1 ms, 100 % after 60 s",
      },
    ]);
  });

  it("warns if replicas have not caught up a second after most writes", async () => {
    group.replicas[0]?.link.delay(1_500);
    expect(findingsOf(await sampled(), "replica-share")).toMatchObject([{ verdict: "warn" }]);
  });
});
