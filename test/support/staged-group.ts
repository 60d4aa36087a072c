/** Servers for each test that changes their roles, and the Tidemarks it opens on them. */

import { afterEach, beforeEach } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { replicasAreEligible } from "./eligible-replicas.js";
import { type LostWrites, listenToLostWrites } from "./lost-writes.js";
import { type GroupOptions, openTidemark } from "./open-tidemark.js";
import { type ReplicationGroup, startReplicationGroup } from "./replication-group.js";

export interface StagedGroup {
  readonly group: ReplicationGroup;
  /** What Tidemarks have said of lost writes since the test began. */
  readonly lostWrites: LostWrites;
  /** A Tidemark on the group, or on what `options` name, all of whose replicas may answer reads. */
  open(options?: GroupOptions): Promise<Tidemark>;
  /** Has something ended behind the test, after the Tidemarks. */
  owe(started: { stop(): Promise<void> }): void;
}

/** Starts a group before each test, and ends all behind it. */
export function stageGroup(options: { readonly replicas: number }): StagedGroup {
  let group: ReplicationGroup;
  let lostWrites: LostWrites;
  let opened: Tidemark[];
  let owed: { stop(): Promise<void> }[];

  beforeEach(async () => {
    [opened, owed] = [[], []];
    group = await startReplicationGroup(options);
    lostWrites = listenToLostWrites();
  });

  afterEach(async () => {
    lostWrites[Symbol.dispose]();
    await Promise.all(opened.map((tidemark) => tidemark.close()));
    await Promise.all([group, ...owed].map((started) => started.stop()));
  });

  return {
    get group() {
      return group;
    },
    get lostWrites() {
      return lostWrites;
    },
    open: async (options) => {
      const tidemark = openTidemark(group, options);
      opened.push(tidemark);
      await replicasAreEligible(tidemark);
      return tidemark;
    },
    owe: (started) => {
      owed.push(started);
    },
  };
}
