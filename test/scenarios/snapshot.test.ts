import { access } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startReplicationGroup } from "../support/servers/replication-group.js";
import { takeSnapshot } from "../support/servers/snapshot.js";
import { waitUntil } from "../support/wait-until.js";

test("takeSnapshot() leaves a file that survives the cleanup of synchronisation files", async () => {
  await using group = await startReplicationGroup({ replicas: 1 });
  const { primary } = group;
  await takeSnapshot(primary.admin());
  const uptime = async (): Promise<number> => Number((await primary.info("server")).uptime_in_seconds);
  const taken = await uptime();
  // It tidies up once in each of its seconds.
  await waitUntil(async () => (await uptime()) > taken + 2, {
    what: "the server has run for two more seconds",
  });
  await expect(access(join(primary.dir, "dump.rdb"))).resolves.toBeUndefined();
});
