/** Checks of the replication: roles, links, and the settings that decide how well replicas keep up. */
import type { Deployment } from "../../inspection/deployment.js";
import type { Check } from "../check.js";
import { isOpen, Subject } from "../subject.js";

const roles: Check = {
  id: "roles",
  group: "Replication",
  title: "one primary with replicas",
  examine(deployment: Deployment) {
    const { primaries, target } = deployment;
    const names = primaries.map(({ address }) => address).join(", ");
    const subject = new Subject(this);
    if (primaries.length === 0)
      return [
        subject.fail("no server reports to be the primary", {
          why: "Tidemark sends every write to the primary.",
        }),
      ];
    if (primaries.length > 1 && target.kind !== "cluster")
      return [
        subject.fail(`there are ${primaries.length} primaries: ${names}`, {
          why: "Writes to one of them never reach the replicas of the other.",
        }),
      ];
    return primaries.map((primary) => {
      const replicas = deployment.replicasOf(primary).length;
      const of = new Subject(this, primary);
      if (replicas > 0) return of.pass(`primary with ${replicas} ${replicas === 1 ? "replica" : "replicas"}`);
      return of.warn("the primary has no replica", {
        why: "Without replicas the primary answers every read.",
      });
    });
  },
};

const link: Check = {
  id: "replication-link",
  group: "Replication",
  title: "link to the primary",
  examine(deployment: Deployment) {
    return deployment.servers
      .filter((server) => isOpen(server) && server.role === "replica")
      .map((server) => {
        const subject = new Subject(this, server);
        return subject.judge(server.info, "INFO", (info) =>
          info.get("master_link_status") === "up"
            ? subject.pass("the link is up")
            : subject.fail("the link is down", {
                why: "The replica's data gets older, so Tidemark does not use it.",
              }),
        );
      });
  },
};

export const replicationChecks: readonly Check[] = [roles, link];
