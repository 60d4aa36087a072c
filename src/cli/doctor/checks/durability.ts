/** Checks of what survives when the primary fails. */
import { valueIn } from "../../inspection/answer.js";
import { numberIn } from "../../inspection/info.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { countText } from "../quantities.js";
import { openServers, Subject } from "../subject.js";

const minReplicas: Check = {
  id: "min-replicas",
  group: "Durability",
  title: "replicas without which the primary refuses writes",
  examine(deployment) {
    const { target } = deployment;
    return openServers(deployment, "primary").map((primary) => {
      const subject = new Subject(this, primary);
      return subject.config("min-replicas-to-write", (text): Finding => {
        const wanted = Number(text);
        const replicas = deployment.replicasOf(primary).length;
        const maxLag = valueIn(primary.config("min-replicas-max-lag"));
        if (wanted > 0) {
          const info = valueIn(primary.info);
          const good = (info && numberIn(info, "min_slaves_good_slaves")) ?? replicas;
          const found = `min-replicas-to-write is ${wanted}, and ${countText(good, "replica")} ${good === 1 ? "counts" : "count"} (min-replicas-max-lag ${maxLag} s)`;
          if (good >= wanted) return subject.pass(found);
          return subject.fail(found, {
            why: "The primary refuses every write with NOREPLICAS.",
            fix: subject.setting("min-replicas-to-write", String(good)),
          });
        }
        if (target.kind !== "sentinel")
          return subject.pass("min-replicas-to-write is 0, and no Sentinel promotes another server");
        if (replicas < 1) return subject.skip("min-replicas-to-write is 0, and there is no replica");
        return subject.warn("min-replicas-to-write is 0", {
          why: "If the primary is cut off, it goes on acknowledging writes for as long as that lasts, and all of them are lost.",
          fix: subject.setting("min-replicas-to-write", "1"),
        });
      });
    });
  },
};

const persistence: Check = {
  id: "persistence",
  group: "Durability",
  title: "data of the primary after a restart",
  examine(deployment) {
    return openServers(deployment, "primary").map((primary) => {
      const subject = new Subject(this, primary);
      return subject.info((info): Finding => {
        if (info.get("aof_last_write_status") === "err")
          return subject.fail("the last write to the append-only file failed", {
            why: "The primary refuses writes until it succeeds. Look at its disk and its log.",
          });
        if (info.get("rdb_last_bgsave_status") === "err")
          return subject.fail("the last snapshot failed", {
            why: "With stop-writes-on-bgsave-error the primary refuses writes. Look at its disk, its memory and its log.",
          });
        if (info.get("aof_enabled") === "1") return subject.pass("has an append-only file");
        return subject.config("save", (save): Finding => {
          if (save !== "") return subject.pass(`saves snapshots (save ${save})`);
          if (deployment.replicasOf(primary).length === 0)
            return subject.skip("keeps its data in memory only, and has no replica");
          return subject.warn("keeps its data in memory only", {
            why: "If something restarts it before a replica is promoted, it comes back empty, and its replicas empty themselves too.",
            fix: subject.setting("appendonly", "yes"),
          });
        });
      });
    });
  },
};

export const durabilityChecks: readonly Check[] = [minReplicas, persistence];
