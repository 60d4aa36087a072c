/** Checks of what the servers understand: commands, the protocol, versions, modules. */
import { valueIn } from "../../inspection/answer.js";
import { parseFlatList } from "../../inspection/info.js";
import { sentCommands } from "../../inspection/questions.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { isOpen, openServers, Subject } from "../subject.js";

type SentCommand = (typeof sentCommands)[number];

/** What is lost without a command. Without the others, Tidemark cannot use the server at all. */
const losses: Partial<Readonly<Record<SentCommand, string>>> = {
  hello:
    "Without HELLO, connections use RESP2, so a replica does not report at once that it has loaded older data.",
  client: "Without CLIENT, a replica does not report at once that it has loaded older data.",
  time: "Without TIME, Tidemark cannot see that the clock of a replica is wrong.",
  wait: "Without WAIT, replicated() rejects every write.",
  publish: "Without PUBLISH, your app cannot publish messages.",
  select: "Without SELECT, only database 0 can be used.",
};

const onlyForClusters: readonly SentCommand[] = ["readonly", "asking", "cluster"];

const commands: Check = {
  id: "commands",
  group: "Connection",
  title: "commands that Tidemark sends",
  examine({ servers, target }) {
    return servers.filter(isOpen).map((server) => {
      const subject = new Subject(this, server);
      const needed = sentCommands.filter(
        (name) => target.kind === "cluster" || !onlyForClusters.includes(name),
      );
      if (server.info.kind === "absent")
        return subject.fail(`it does not know INFO (${server.info.message})`, {
          why: "Without INFO the server has no position, so Tidemark takes it for a proxy and the primary answers every read. Remove rename-command for INFO, or allow it at your provider.",
        });
      return subject.judge(server.answer("commands"), "COMMAND INFO", (reply) =>
        commandsFinding(
          subject,
          missingIn(reply).filter((name) => needed.includes(name)),
        ),
      );
    });
  },
};

function missingIn(reply: unknown): readonly SentCommand[] {
  const known: readonly unknown[] = Array.isArray(reply) ? reply : [];
  return sentCommands.filter((_, index) => known[index] === null);
}

function commandsFinding(subject: Subject, missing: readonly SentCommand[]): Finding {
  if (missing.length === 0) return subject.pass("all are known");
  const found = `renamed or disabled: ${missing.map((name) => name.toUpperCase()).join(", ")}`;
  const lost = missing.map(
    (name) => losses[name] ?? `Tidemark cannot use a server without ${name.toUpperCase()}.`,
  );
  const why = `${lost.join(" ")} Remove rename-command, or limit commands by ACL instead.`;
  return missing.every((name) => name in losses)
    ? subject.warn(found, { why })
    : subject.fail(found, { why });
}

const protocol: Check = {
  id: "protocol",
  group: "Connection",
  title: "protocol RESP3",
  examine(deployment) {
    return openServers(deployment).flatMap((server) => {
      const { resp3 } = server;
      const subject = new Subject(this, server);
      // The check `proxy` reports a server that answers nothing of this kind.
      if (server.info.kind === "failed" || server.info.kind === "absent") return [];
      if (resp3.kind === "value") return [subject.pass("spoken")];
      if (resp3.kind === "hidden") return [subject.unanswered(resp3, "HELLO")];
      return [
        subject.warn(`HELLO 3 is refused (${resp3.message})`, {
          why: "Connections use RESP2. A replica then does not report that it has loaded older data, so it may answer from it for 50 ms, and Tidemark asks for positions five times as often.",
        }),
      ];
    });
  },
};

interface Version {
  readonly engine: string;
  readonly text: string;
  readonly numbers: readonly number[];
}

function versionOf(server: InspectedServer): Version | undefined {
  const info = valueIn(server.info);
  const valkey = info?.get("valkey_version");
  const text = valkey ?? info?.get("redis_version");
  if (text === undefined) return undefined;
  return {
    engine: valkey === undefined ? (info?.get("server_name") ?? "redis") : "valkey",
    text,
    numbers: text.split(".").map((part) => Number.parseInt(part, 10)),
  };
}

const versions: Check = {
  id: "version-skew",
  group: "Replication",
  title: "versions of primary and replicas",
  examine(deployment) {
    return deployment.primaries.flatMap((primary) => {
      const own = versionOf(primary);
      return deployment
        .replicasOf(primary)
        .filter(isOpen)
        .map((replica) => {
          const subject = new Subject(this, replica);
          const other = versionOf(replica);
          if (own === undefined || other === undefined) return subject.skip("INFO has no version");
          const found = `${other.engine} ${other.text}, and its primary is ${own.engine} ${own.text}`;
          if (other.engine !== own.engine)
            return subject.warn(found, {
              why: "Redis and Valkey have their own formats since they parted, so a full resynchronisation may fail. Use one of them.",
            });
          if (isOlder(other, own))
            return subject.fail(`it is older than its primary: ${found}`, {
              why: "It cannot load a snapshot in a newer format, and then serves an empty data set. It may not know new commands either. Upgrade replicas first.",
            });
          return subject.pass(other.text === own.text ? `${found} too` : found);
        });
    });
  },
};

/** Whether the major or the minor version is smaller. Patches do not change formats. */
function isOlder({ numbers: [major = 0, minor = 0] }: Version, than: Version): boolean {
  const [otherMajor = 0, otherMinor = 0] = than.numbers;
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

const notifications: Check = {
  id: "keyspace-notifications",
  group: "Tidemark",
  title: "keyspace notifications",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      return subject.config("notify-keyspace-events", (events) =>
        events === ""
          ? subject.pass("off")
          : subject.pass(
              `on (${events}). A subscriber hears them only from the server that it is connected to`,
            ),
      );
    });
  },
};

const modules: Check = {
  id: "modules",
  group: "Tidemark",
  title: "modules",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      return subject.judge(server.answer("modules"), "MODULE LIST", (reply) => {
        const list: readonly unknown[] = Array.isArray(reply) ? reply : [];
        const names = list.map((module) => String(parseFlatList(module)?.get("name") ?? "unnamed"));
        if (names.length === 0) return subject.pass("none");
        return subject.pass(
          `${names.join(", ")}. Tidemark knows nothing of their commands, so it sends them to the primary and counts them as writes`,
        );
      });
    });
  },
};

export const commandChecks: readonly Check[] = [commands, protocol];
export const versionChecks: readonly Check[] = [versions];
export const extensionChecks: readonly Check[] = [notifications, modules];
