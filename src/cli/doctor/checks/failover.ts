/** Checks of what happens around a failover: passwords between servers, and rules that count only after a promotion. */
import { addressOf } from "../../../address.js";
import { valueIn } from "../../inspection/answer.js";
import type { Deployment } from "../../inspection/deployment.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { countText } from "../quantities.js";
import { isOpen, openServers, Subject } from "../subject.js";

const primaryPassword: Check = {
  id: "primary-password",
  group: "Replication",
  title: "the password that a replica sends to its primary",
  examine(deployment) {
    return openServers(deployment, "replica").flatMap((replica) => {
      const primary = primaryOf(replica, deployment);
      return primary === undefined ? [] : [passwordFinding(new Subject(this, replica), replica, primary)];
    });
  },
};

function primaryOf(replica: InspectedServer, deployment: Deployment): InspectedServer | undefined {
  const { upstream } = replica;
  const named = upstream && deployment.servers.find((server) => server.isAt(addressOf(upstream)));
  return named ?? deployment.primaries.find((primary) => deployment.replicasOf(primary).includes(replica));
}

function passwordFinding(subject: Subject, replica: InspectedServer, primary: InspectedServer): Finding {
  const { username = "default", password } = primary.options;
  const isUp = valueIn(replica.info)?.get("master_link_status") === "up";
  return subject.judge(replica.primaryPassword(password), "masterauth", (sent) => {
    // A replica logs in as the default user, unless masteruser names another.
    if (username !== "default")
      return sent === "none"
        ? subject.skip(
            `masterauth is empty. This user cannot see whether ${primary.address} asks the default user for a password`,
          )
        : subject.pass("set");
    if (!password || primary.ignoresPassword) return subject.pass("the primary asks for none");
    const fix = subject.setting("masterauth", "<password>");
    const state = `its link is ${isUp ? "up" : "down"}`;
    if (sent === "none" && isUp)
      return subject.warn(
        `${state}, but its masterauth is empty, and ${primary.address} asks for a password`,
        {
          why: "The link was made before the password was set, so it does not survive the next interruption.",
          fix,
        },
      );
    if (sent === "none")
      return subject.fail(
        `${state}, and its masterauth is empty, but ${primary.address} asks for a password`,
        {
          why: "The replica cannot log in to its primary, so its data gets older.",
          fix,
        },
      );
    if (sent === "other" && !isUp)
      return subject.fail(
        `${state}, and its masterauth is another password than the one given for ${primary.address}`,
        {
          why: "The replica probably cannot log in to its primary.",
          fix,
        },
      );
    return subject.pass("set");
  });
}

const minReplicas: Check = {
  id: "min-replicas-after-failover",
  group: "Durability",
  title: "writes after a promotion",
  examine(deployment) {
    return deployment.primaries.flatMap((primary) => {
      const all = deployment.replicasOf(primary);
      // Some that the primary lists may not be reachable from here.
      const left = Math.max(all.length, primary.announced.length) - 1;
      return all.filter(isOpen).map((replica) => {
        const subject = new Subject(this, replica);
        return subject.config("min-replicas-to-write", (text) => {
          const least = Number(text);
          if (least === 0) return subject.pass("min-replicas-to-write is 0");
          if (least <= left)
            return subject.pass(`min-replicas-to-write is ${least}, and ${left} other replicas are left`);
          return subject.warn(
            `min-replicas-to-write is ${least}, but ${countText(left, "replica")} would be left after its promotion`,
            {
              why: "As the primary it would refuse every write (NOREPLICAS) until enough replicas follow it.",
              fix: subject.setting("min-replicas-to-write", String(left)),
            },
          );
        });
      });
    });
  },
};

export const failoverChecks: readonly Check[] = [primaryPassword];
export const promotionChecks: readonly Check[] = [minReplicas];
