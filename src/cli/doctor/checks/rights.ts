/** Checks that a user has the same rights on all servers, because ACLs are not replicated. */
import type { Deployment } from "../../inspection/deployment.js";
import { type QuestionName, questions } from "../../inspection/questions.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import { redisCli } from "../redis-cli.js";
import { isOpen, openServers, Subject } from "../subject.js";

const sameRights: Check = {
  id: "same-rights",
  group: "Security",
  title: "the user's rights on replicas",
  examine(deployment: Deployment) {
    return openServers(deployment, "primary").flatMap((primary) =>
      deployment
        .replicasOf(primary)
        .filter(isOpen)
        .map((replica) => {
          const subject = new Subject(this, replica);
          const rules = rulesMissing(replica, primary);
          if (rules.length === 0) return subject.pass("no right of the primary is missing");
          const { username = "default" } = replica.options;
          return subject.warn(
            `${username} has fewer rights here than on the primary: ${rules.join(", ")} is missing`,
            {
              why: "ACLs are not replicated. A replica that refuses reads gets no reads. Give the user the same rules on each server.",
              fix: redisCli(replica, `ACL SETUSER ${username} ${rules.map((rule) => `'${rule}'`).join(" ")}`),
            },
          );
        }),
    );
  },
};

/** The rules for what the primary answers and the replica forbids. */
function rulesMissing(replica: InspectedServer, primary: InspectedServer): readonly string[] {
  const names = Object.keys(questions).filter((name): name is QuestionName => name in questions);
  const rules = names.flatMap((name) => {
    const answer = replica.answer(name);
    if (answer.kind !== "hidden" || primary.answer(name).kind === "hidden") return [];
    return name === "size" ? ["+@read"] : [answer.rule];
  });
  return [...new Set(rules)];
}

export const rightsChecks: readonly Check[] = [sameRights];
