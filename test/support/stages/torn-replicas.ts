/** Two processes whose replicas differ: one gets everything, the other is held back. */
import { afterAll, afterEach, beforeAll } from "vitest";
import type { Tidemark } from "../../../src/index.js";
import type { Door } from "../http/door.js";
import { holdReplicas, releaseReplicas } from "../servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../servers/replication-group.js";
import { waitUntil } from "../wait-until.js";
import { replicasAreEligible } from "./eligible-replicas.js";
import { openTidemark } from "./open-tidemark.js";

export interface TornReplicas {
  readonly group: ReplicationGroup;
  /** Reads the replica that gets everything. */
  readonly here: Tidemark;
  /** Reads the one that is held back. */
  readonly there: Tidemark;
  /** A key that is new on the primary and one replica, and old on the other. */
  torn(): Promise<string>;
}

/** Starts them before all tests, releases behind each, and ends them. */
export function stageTornReplicas(): TornReplicas {
  let group: ReplicationGroup;
  let here: Tidemark;
  let there: Tidemark;
  let keys = 0;

  beforeAll(async () => {
    // A primary's periodic pings move the positions of its replicas like a write.
    const args = ["--repl-ping-replica-period", "600", "--repl-timeout", "1200"];
    group = await startReplicationGroup({ replicas: 2, args });
    const [first, second] = group.replicas.map(({ server }) => ({ replicas: [server.url] }));
    [here, there] = [openTidemark(group, first), openTidemark(group, second)];
  });

  afterEach(() => releaseReplicas(group));

  afterAll(async () => {
    await Promise.all([here.close(), there.close()]);
    await group.stop();
  });

  return {
    get group() {
      return group;
    },
    get here() {
      return here;
    },
    get there() {
      return there;
    },
    async torn() {
      const key = `key-${keys++}`;
      await group.primary.admin().set(key, "old");
      await group.caughtUp();
      await Promise.all([replicasAreEligible(here), replicasAreEligible(there)]);
      holdReplicas(group, 1);
      await group.primary.admin().set(key, "new");
      await waitUntil(async () => (await group.replicas[0]?.server.admin().get(key)) === "new", {
        what: "one replica has the new value",
      });
      return key;
    },
  };
}

/** Goes by each door in turn. */
export function inTurn(...each: readonly Door[]): Door {
  let asked = 0;
  return {
    ask: (one) => each[asked++ % each.length]?.ask(one) ?? Promise.reject(),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(each.map((door) => door[Symbol.asyncDispose]()));
    },
  };
}
