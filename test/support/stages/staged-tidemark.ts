/** Servers for the tests of a file, and a Tidemark on them for each test. */

import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import type { CommonOptions, Tidemark } from "../../../src/index.js";
import { listenToRoutes, type Routes } from "../listeners/routes.js";
import { releaseReplicas } from "../servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../servers/replication-group.js";
import { replicasAreEligible } from "./eligible-replicas.js";
import { openTidemark } from "./open-tidemark.js";

/** The servers, the Tidemark and the records of one test. */
export interface Stage {
  readonly group: ReplicationGroup;
  /** Has replicas that may answer reads when the test begins. */
  readonly tidemark: Tidemark;
  /** The routes of the test's commands. */
  readonly routes: Routes;
}

/**
 * Starts the group before the file's tests and ends it behind them; `enter` is given the stage before each test. What
 * it returns is there for what comes before the first.
 */
export function stageTidemark(
  { replicas, ...options }: { readonly replicas: number } & Pick<CommonOptions, "fallbackLimit">,
  enter: (stage: Stage) => void,
): Pick<Stage, "group"> {
  let group: ReplicationGroup;
  let tidemark: Tidemark;
  let routes: Routes;

  beforeAll(async () => {
    group = await startReplicationGroup({ replicas });
  });

  afterAll(() => group.stop());

  beforeEach(async () => {
    await group.primary.admin().flushall();
    tidemark = openTidemark(group, options);
    await replicasAreEligible(tidemark);
    routes = listenToRoutes();
    enter({ group, tidemark, routes });
  });

  afterEach(async () => {
    routes[Symbol.dispose]();
    await tidemark.close();
    await releaseReplicas(group);
  });

  return {
    get group() {
      return group;
    },
  };
}
