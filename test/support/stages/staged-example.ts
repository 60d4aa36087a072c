/** Servers for the tests of an example, and for each test a Tidemark by the name that apps import it by. */

import { Tidemark } from "tidemark";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { replicasAnswer } from "../../../examples/servers.js";
import { releaseReplicas } from "../servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../servers/replication-group.js";

export interface ExampleStage {
  readonly group: ReplicationGroup;
  /** Has replicas that may answer reads when the test begins. */
  readonly tidemark: Tidemark;
}

/** Starts a primary and two replicas before the file's tests and ends them behind them. */
export function stageExample(enter: (stage: ExampleStage) => void): void {
  let group: ReplicationGroup;
  let tidemark: Tidemark;

  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 2 });
  });

  afterAll(() => group.stop());

  beforeEach(async () => {
    await group.primary.admin().flushall();
    tidemark = new Tidemark({
      primary: group.primary.url,
      replicas: group.replicas.map(({ server }) => server.url),
    });
    await replicasAnswer(tidemark);
    enter({ group, tidemark });
  });

  afterEach(async () => {
    for (const { link } of group.replicas) link.delay(0);
    await tidemark.close();
    await releaseReplicas(group);
  });
}
