/** Checks of the connections: can the servers be reached, and are they what they seem to be? */
import type { Check } from "../check.js";
import { Subject } from "../subject.js";

const reachable: Check = {
  id: "reachable",
  group: "Connection",
  title: "reachable from here",
  examine(deployment) {
    return [...deployment.servers, ...deployment.sentinels].map((server) => {
      const subject = new Subject(this, server);
      const { connection, announcedBy } = server;
      if (connection.kind === "value") return subject.pass("answers");
      const reason =
        connection.kind === "hidden" ? `the rule ${connection.rule} is missing` : connection.message;
      const origin = announcedBy === undefined ? "" : ` (${announcedBy} announces this address)`;
      return subject.fail(`cannot be used${origin}: ${reason}`, {
        why: "Tidemark connects from your app to each of these addresses.",
      });
    });
  },
};

export const connectionChecks: readonly Check[] = [reachable];
