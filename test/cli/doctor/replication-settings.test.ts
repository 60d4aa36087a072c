/** Checks of the settings that decide how well replicas keep up: each fires on a server with that setting, and on no other. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Deployment } from "../../../src/cli/inspection/deployment.js";
import { applyFix, faultsOf, findingsOf, inspected, verdictsOf } from "../../support/cli/inspected.js";
import type { RedisServer } from "../../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";

interface Fault {
  readonly check: string;
  readonly on: "primary" | "replica";
  readonly setting: string;
  readonly bad: string;
  readonly verdict: "warn" | "fail";
  /** What the finding names. */
  readonly found: string;
}

const faults: readonly Fault[] = [
  {
    check: "replica-output-buffer",
    on: "primary",
    setting: "client-output-buffer-limit",
    bad: "replica 524288 0 0",
    verdict: "warn",
    found: "512 kB, which is less than the backlog (1 MB)",
  },
  {
    check: "diskless-load",
    on: "replica",
    setting: "repl-diskless-load",
    bad: "swapdb",
    verdict: "warn",
    found: "repl-diskless-load is swapdb",
  },
  {
    check: "replication-timeout",
    on: "primary",
    setting: "repl-timeout",
    bad: "5",
    verdict: "fail",
    found: "repl-timeout is 5 s, and a PING comes every 10 s",
  },
  {
    check: "replication-nodelay",
    on: "primary",
    setting: "repl-disable-tcp-nodelay",
    bad: "yes",
    verdict: "warn",
    found: "repl-disable-tcp-nodelay is yes",
  },
  {
    check: "serve-stale-data",
    on: "replica",
    setting: "replica-serve-stale-data",
    bad: "no",
    verdict: "warn",
    found: "replica-serve-stale-data is no",
  },
  {
    check: "read-only-replicas",
    on: "replica",
    setting: "replica-read-only",
    bad: "no",
    verdict: "fail",
    found: "replica-read-only is no",
  },
  {
    check: "failover-candidates",
    on: "replica",
    setting: "replica-priority",
    bad: "0",
    verdict: "warn",
    found: "replica-priority is 0 on every replica",
  },
];

let group: ReplicationGroup;
beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});
afterAll(() => group.stop());

const look = (): Promise<Deployment> => inspected([group.primary.url]);

function serverFor({ on }: Fault): RedisServer {
  const server = on === "primary" ? group.primary : group.replicas[0]?.server;
  if (server === undefined) throw new Error("the group has no replica");
  return server;
}

describe("A check of a replication setting", () => {
  for (const fault of faults) {
    it(`${fault.check} fires for ${fault.setting} ${fault.bad}, until its fix is applied`, async () => {
      const { check, setting, bad, verdict, found } = fault;
      await serverFor(fault).admin().config("SET", setting, bad);
      const [finding, ...others] = faultsOf(await look(), check);
      expect(others).toEqual([]);
      expect(finding).toMatchObject({ verdict, found: expect.stringContaining(found) });
      if (finding !== undefined) await applyFix(finding);
      const sound = verdictsOf(await look(), check);
      expect(sound.length).toBeGreaterThan(0);
      expect(new Set(sound)).toEqual(new Set(["pass"]));
    });
  }
});

describe("The check of the replication backlog", () => {
  const primary = () => `127.0.0.1:${group.primary.port}`;

  /** As if the sampler had seen the primary write so much in one second. */
  async function writing(bytes: number): Promise<Deployment> {
    const deployment = await look();
    const counts = { fullResyncs: 0, refusedResyncs: 0, fastestMs: [] };
    deployment.activity = [{ primary: primary(), seconds: 1, bytes, ...counts }];
    return deployment;
  }

  it("fires if it has less than a minute of writes, until its fix is applied", async () => {
    const busy = 100_000;
    const [finding] = faultsOf(await writing(busy), "replication-backlog");
    expect(finding).toMatchObject({
      verdict: "warn",
      found: "repl-backlog-size is 1 MB, which is 10 s of writes at 98 kB a second",
      fix: expect.stringContaining("CONFIG SET repl-backlog-size 8mb"),
    });
    if (finding !== undefined) await applyFix(finding);
    expect(verdictsOf(await writing(busy), "replication-backlog")).toEqual(["pass"]);
    await group.primary.admin().config("SET", "repl-backlog-size", "1mb");
  });

  it("does not judge it while the primary writes nothing", async () => {
    expect(findingsOf(await writing(0), "replication-backlog")).toMatchObject([
      { verdict: "skip", found: expect.stringContaining("wrote nothing") },
    ]);
  });

  it("goes along with the check of the output buffer, whose soft limit must last as long", async () => {
    const [finding] = faultsOf(await writing(2_000_000), "replica-output-buffer");
    expect(finding).toMatchObject({
      verdict: "warn",
      found: expect.stringContaining("which is 34 s of writes"),
    });
    if (finding !== undefined) await applyFix(finding);
    expect(verdictsOf(await writing(2_000_000), "replica-output-buffer")).toEqual(["pass"]);
    expect(verdictsOf(await writing(100_000), "replica-output-buffer")).toEqual(["pass"]);
  });
});
