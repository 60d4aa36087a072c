/** Servers for each test that changes their roles, and the Tidemarks it opens on them. */

import { afterEach, aroundEach, beforeEach } from "vitest";
import type { Tidemark } from "../../../src/index.js";
import { type LostWrites, listenToLostWrites } from "../listeners/lost-writes.js";
import { type ReplicationGroup, startReplicationGroup } from "../servers/replication-group.js";
import { replicasAreEligible } from "./eligible-replicas.js";
import { type GroupOptions, openTidemark } from "./open-tidemark.js";
import { currentScope, inScope } from "./test-scope.js";

export interface StagedGroup {
  readonly group: ReplicationGroup;
  /** The lost writes that Tidemarks have reported since the test began. */
  readonly lostWrites: LostWrites;
  /** A Tidemark on the group, or on what `options` name, all of whose replicas may answer reads. */
  open(options?: GroupOptions): Promise<Tidemark>;
  /** Has something ended behind the test, after the Tidemarks. */
  owe(started: { stop(): Promise<void> }): void;
}

/** The servers and Tidemarks of one test. */
class Scene {
  group: ReplicationGroup | undefined;
  lostWrites: LostWrites | undefined;
  readonly opened: Tidemark[] = [];
  readonly owed: { stop(): Promise<void> }[] = [];
}

/** Starts a group before each test, and ends all behind it. Tests may run side by side: each finds its own group. */
export function stageGroup(options: { readonly replicas: number }): StagedGroup {
  const scene = (): Scene => {
    const scope = currentScope();
    if (!(scope instanceof Scene)) throw new Error("no test has begun");
    return scope;
  };
  const group = (): ReplicationGroup => {
    const { group } = scene();
    if (group === undefined) throw new Error("the group has not started");
    return group;
  };

  aroundEach((runTest) => inScope(new Scene(), runTest));

  beforeEach(async () => {
    const own = scene();
    own.group = await startReplicationGroup(options);
    own.lostWrites = listenToLostWrites();
  });

  afterEach(async () => {
    const { lostWrites, opened, owed, group } = scene();
    lostWrites?.[Symbol.dispose]();
    await Promise.all(opened.map((tidemark) => tidemark.close()));
    await Promise.all([group, ...owed].map((started) => started?.stop()));
  });

  return {
    get group() {
      return group();
    },
    get lostWrites() {
      const { lostWrites } = scene();
      if (lostWrites === undefined) throw new Error("the test does not listen yet");
      return lostWrites;
    },
    open: async (options) => {
      const tidemark = openTidemark(group(), options);
      scene().opened.push(tidemark);
      await replicasAreEligible(tidemark);
      return tidemark;
    },
    owe: (started) => {
      scene().owed.push(started);
    },
  };
}
