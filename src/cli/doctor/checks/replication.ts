/** Checks of the replication: roles, links, positions, and whether a short break costs a full resynchronisation. */
import { addressOf } from "../../../address.js";
import { faultOf, parseReplicationInfo } from "../../../replication/replication-info.js";
import { valueIn } from "../../inspection/answer.js";
import type { Deployment } from "../../inspection/deployment.js";
import { numberIn } from "../../inspection/info.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { countText, durationText } from "../quantities.js";
import { redisCli } from "../redis-cli.js";
import { openServers, Subject } from "../subject.js";

const roles: Check = {
  id: "roles",
  group: "Replication",
  title: "one primary with replicas",
  examine(deployment) {
    const { target } = deployment;
    const primaries = chosenPrimaries(deployment);
    const subject = new Subject(this);
    if (primaries.length === 0) return [withoutPrimary(subject, deployment)];
    const names = primaries.map(({ address }) => address).join(", ");
    if (primaries.length > 1 && target.kind !== "cluster")
      return [
        subject.fail(`there are ${primaries.length} primaries: ${names}`, {
          why: "Writes to one of them never reach the replicas of the other. Make all but one a replica, or leave the others out.",
        }),
      ];
    return [
      ...primaries.map((primary) => ofPrimary(new Subject(this, primary), deployment, primary)),
      ...firstGiven(this, deployment),
    ];
  },
};

/** The primaries that were given. If none was, those that others name. */
function chosenPrimaries({ primaries, target }: Deployment): readonly InspectedServer[] {
  const given = primaries.filter(({ source }) => source === "given");
  return target.kind === "servers" && given.length > 0 ? given : primaries;
}

function withoutPrimary(subject: Subject, deployment: Deployment): Finding {
  const unknown = openServers(deployment).filter(({ role }) => role === undefined);
  if (unknown.length > 0) return subject.skip("no server tells this user its role");
  return subject.fail("no server reports to be the primary", {
    why: "Tidemark sends every write to the primary.",
  });
}

function ofPrimary(subject: Subject, deployment: Deployment, primary: InspectedServer): Finding {
  const replicas = deployment.replicasOf(primary).length;
  if (replicas > 0) return subject.pass(`primary with ${countText(replicas, "replica")}`);
  if (primary.info.kind !== "value") return subject.unanswered(primary.info, "the replicas");
  return subject.warn("primary without a replica", {
    why: "Without replicas the primary answers every read, and nothing replaces it if it fails.",
  });
}

/** An app with the only given URL as `primary` would have a replica there. */
function firstGiven(check: Check, { servers, target, primaries }: Deployment): Finding[] {
  const [given, ...others] = servers.filter(({ source }) => source === "given");
  const [primary] = primaries;
  if (target.kind !== "servers" || given?.role !== "replica" || others.length > 0 || primary === undefined)
    return [];
  return [
    new Subject(check, given).warn(`is a replica of ${primary.address}`, {
      why: `If your app has this address as \`primary\`, set \`primary\` to ${primary.address}.`,
    }),
  ];
}

const chain: Check = {
  id: "replica-chain",
  group: "Replication",
  title: "replicas of replicas",
  examine(deployment) {
    return openServers(deployment, "replica").map((replica) => {
      const subject = new Subject(this, replica);
      return subject.info((info) => {
        const replicas = numberIn(info, "connected_slaves") ?? 0;
        if (replicas === 0) return subject.pass("no replica replicates from it");
        return subject.warn(
          `${countText(replicas, "replica")} ${replicas === 1 ? "replicates" : "replicate"} from this replica`,
          {
            why: "A replica of a replica lags by the sum of both lags, and goes with the replica that feeds it.",
          },
        );
      });
    });
  },
};

const position: Check = {
  id: "replication-position",
  group: "Replication",
  title: "position in the replication stream",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      return subject.judge(server.replicationText, "INFO replication", (text) => {
        const own = parseReplicationInfo(text);
        if (own === undefined)
          return subject.fail("reports no position that Tidemark can use", { why: `${faultOf(text)}.` });
        if (own.role === "primary") return ofPrimaryPosition(subject, own.backlogActive);
        return ofReplicaPosition(subject, deployment, server, own.linkUp);
      });
    });
  },
};

function ofPrimaryPosition(subject: Subject, isActive: boolean): Finding {
  return subject.pass(
    isActive
      ? "reports its position"
      : "reports a position, which begins to count when the first replica connects",
  );
}

function ofReplicaPosition(
  subject: Subject,
  deployment: Deployment,
  server: InspectedServer,
  linkUp: boolean,
): Finding {
  const primaries = chosenPrimaries(deployment);
  const primary = primaries.find((one) => deployment.replicasOf(one).includes(server));
  if (primary !== undefined && replidOf(server) === replidOf(primary))
    return subject.pass(`has the history of ${primary.address}`);
  if (primaries.length === 0) return subject.skip("there is no primary to compare with");
  if (primaries.some((one) => replidOf(one) === undefined))
    return subject.skip("the primary reports no position to compare with");
  const upstream = server.upstream === undefined ? "an unknown server" : addressOf(server.upstream);
  if (!linkUp)
    return subject.skip(`has another history than the primary, and its link to ${upstream} is down`);
  return subject.fail(
    `replicates from ${upstream}, which is not the primary ${primaries.map(({ address }) => address).join(", ")}`,
    {
      why: "It never gets the writes of that primary, so Tidemark does not use it.",
      fix: replicateFrom(server, primaries[0]),
    },
  );
}

function replicateFrom(server: InspectedServer, primary: InspectedServer | undefined): string {
  const { host = "localhost", port = 6379 } = primary?.options ?? {};
  return redisCli(server, `REPLICAOF ${host} ${port}`);
}

function replidOf(server: InspectedServer): string | undefined {
  return valueIn(server.info)?.get("master_replid");
}

const canary: Check = {
  id: "canary",
  group: "Replication",
  title: "a write that reaches every replica",
  examine(deployment) {
    const { canaries } = deployment;
    if (canaries === undefined)
      return [new Subject(this).skip("not tried. --write-canary writes one key and deletes it again")];
    return canaries.map(({ primary, moved, replicas }) => {
      const subject = new Subject(
        this,
        deployment.servers.find((server) => server.isAt(primary)),
      );
      return subject.judge(moved, "the effect of a write", (bytes): Finding => {
        if (bytes <= 0)
          return replicas.length === 0
            ? subject.skip("a write does not move the position, because there was never a replica")
            : subject.fail("a write does not move the position", {
                why: "Probably a proxy answers here instead of the primary.",
              });
        const lost = replicas.filter(
          ({ caughtUpMs = Number.POSITIVE_INFINITY }) => caughtUpMs === Number.POSITIVE_INFINITY,
        );
        if (lost.length > 0)
          return subject.fail(
            `a write did not reach ${lost.map(({ replica }) => replica).join(", ")} within 5 s`,
            {
              why: "These replicas cannot answer reads of users who have written.",
            },
          );
        const empty = replicas.filter(({ hasValue }) => hasValue.kind === "value" && !hasValue.value);
        if (empty.length > 0)
          return subject.fail(
            `${empty.map(({ replica }) => replica).join(", ")} reached the position without the value`,
            {
              why: "The position of these servers does not prove their data.",
            },
          );
        const slowest = Math.max(...replicas.map(({ caughtUpMs = 0 }) => caughtUpMs));
        const reach =
          replicas.length === 0
            ? "there is no replica"
            : `all replicas had it within ${durationText(slowest)}`;
        return subject.pass(`a write moved the position by ${bytes} bytes, and ${reach}`);
      });
    });
  },
};

/** A healthy link is never silent for longer than `repl-ping-replica-period`. */
const defaultPingSeconds = 10;
const patienceSeconds = 5;

const link: Check = {
  id: "replication-link",
  group: "Replication",
  title: "link to the primary",
  examine(deployment) {
    return openServers(deployment, "replica").map((server) => {
      const subject = new Subject(this, server);
      return subject.info((info): Finding => {
        const upstream = server.upstream === undefined ? "its primary" : addressOf(server.upstream);
        if (info.get("loading") === "1" || info.get("async_loading") === "1")
          return subject.warn("is loading its data", {
            why: "It answers no reads until it is done. Wait, and run the doctor again.",
          });
        if (info.get("master_sync_in_progress") === "1")
          return subject.warn(`is copying all data of ${upstream}`, {
            why: "It answers no reads until it is done. If this repeats, look at repl-backlog-size and client-output-buffer-limit.",
          });
        if (info.get("master_link_status") !== "up") return linkDown(subject, server, info, upstream);
        const silent = numberIn(info, "master_last_io_seconds_ago") ?? 0;
        const ping = Number(valueIn(server.config("repl-ping-replica-period")) ?? defaultPingSeconds);
        if (silent > ping + patienceSeconds)
          return subject.warn(`has heard nothing of ${upstream} for ${silent} s`, {
            why: "The primary or the network between them hangs.",
          });
        return subject.pass(`linked to ${upstream}`);
      });
    });
  },
};

function linkDown(
  subject: Subject,
  server: InspectedServer,
  info: ReadonlyMap<string, string>,
  upstream: string,
): Finding {
  const seconds = numberIn(info, "master_link_down_since_seconds");
  const since = seconds === undefined || seconds < 0 ? "" : ` for ${durationText(seconds * 1_000)}`;
  return subject.fail(`its link to ${upstream} has been down${since}`, {
    why: "Its data grows older, so Tidemark stops using it. Look at its log: the network, the address, or the password (masterauth) may be wrong.",
    ...(server.options.password === undefined
      ? {}
      : { fix: redisCli(server, "CONFIG SET masterauth <password of the primary>") }),
  });
}

const fullResyncs: Check = {
  id: "full-resyncs",
  group: "Replication",
  title: "full resynchronisations",
  examine(deployment) {
    const { activity = [] } = deployment;
    return activity.map(({ primary, seconds, fullResyncs: full, refusedResyncs: refused }) => {
      const server = deployment.servers.find((one) => one.isAt(primary));
      const subject = new Subject(this, server);
      const time = durationText(seconds * 1_000);
      if (full === undefined || refused === undefined)
        return server === undefined || server.info.kind === "value"
          ? subject.skip("INFO stats does not tell how many there were")
          : subject.unanswered(server.info, "INFO stats");
      if (full === 0 && refused === 0) return subject.pass(`none in ${time}`);
      return subject.fail(
        `${full} began in ${time}, and ${refused} times a replica was refused a partial one`,
        {
          why: "A replica that copies everything answers no reads. If this repeats, raise repl-backlog-size and client-output-buffer-limit.",
        },
      );
    });
  },
};

export const replicationChecks: readonly Check[] = [roles, link, position, chain, canary, fullResyncs];
