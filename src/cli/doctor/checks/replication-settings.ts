/** Checks of the settings that decide how well replicas keep up, and what they do when they cannot. */
import { valueIn } from "../../inspection/answer.js";
import type { Deployment } from "../../inspection/deployment.js";
import { numberIn } from "../../inspection/info.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { bytesText, durationText } from "../quantities.js";
import { openServers, Subject } from "../subject.js";

/** A break of the link that is shorter must not cost a full resynchronisation. */
const shortBreakSeconds = 60;
const megabyte = 1_048_576;

/** How many bytes the primary replicates in a second: the larger of what was sampled and of the mean since its start. */
function writeRate({ activity = [] }: Deployment, primary: InspectedServer): number {
  const sampled = activity.find((one) => primary.isAt(one.primary));
  const info = valueIn(primary.info);
  const uptime = (info && numberIn(info, "uptime_in_seconds")) ?? 0;
  const offset = (info && numberIn(info, "master_repl_offset")) ?? 0;
  // A server that has just started has only sent its data set.
  const mean = uptime > shortBreakSeconds ? offset / uptime : 0;
  return Math.max(sampled === undefined ? 0 : sampled.bytes / sampled.seconds, mean);
}

/** The primaries that have replicas. */
function feeding(deployment: Deployment): readonly InspectedServer[] {
  return openServers(deployment, "primary").filter((primary) => deployment.replicasOf(primary).length > 0);
}

/** The next size in MB that is a power of two. */
function roundSize(bytes: number): string {
  return `${2 ** Math.ceil(Math.log2(Math.max(bytes / megabyte, 1)))}mb`;
}

const backlog: Check = {
  id: "replication-backlog",
  group: "Replication",
  title: "size of the replication backlog",
  examine(deployment) {
    return feeding(deployment).map((primary) => {
      const subject = new Subject(this, primary);
      return subject.config("repl-backlog-size", (text) => {
        const size = Number(text);
        const rate = writeRate(deployment, primary);
        const found = `repl-backlog-size is ${bytesText(size)}`;
        if (rate === 0)
          return subject.skip(`${found}. The primary wrote nothing, so it is unknown how long this lasts`);
        const lasts = `${found}, which is ${durationText((size / rate) * 1_000)} of writes at ${bytesText(rate)} a second`;
        if (size / rate >= shortBreakSeconds) return subject.pass(lasts);
        return subject.warn(lasts, {
          why: `A replica that loses its link for longer must copy all data again. Keep at least ${shortBreakSeconds} s of writes.`,
          fix: subject.setting("repl-backlog-size", roundSize(rate * shortBreakSeconds)),
        });
      });
    });
  },
};

interface BufferLimit {
  readonly hard: number;
  readonly soft: number;
  readonly softSeconds: number;
}

function replicaLimitIn(text: string): BufferLimit | undefined {
  const [, hard, soft, softSeconds] = /\b(?:slave|replica) (\d+) (\d+) (\d+)/.exec(text) ?? [];
  if (hard === undefined) return undefined;
  return { hard: Number(hard), soft: Number(soft), softSeconds: Number(softSeconds) };
}

const outputBuffer: Check = {
  id: "replica-output-buffer",
  group: "Replication",
  title: "output buffer for replicas",
  examine(deployment) {
    return feeding(deployment).map((primary) => {
      const subject = new Subject(this, primary);
      return subject.config("client-output-buffer-limit", (text): Finding => {
        const limit = replicaLimitIn(text);
        if (limit === undefined) return subject.skip("client-output-buffer-limit has no limit for replicas");
        return ofBuffer(
          subject,
          limit,
          Number(valueIn(primary.config("repl-backlog-size"))),
          writeRate(deployment, primary),
        );
      });
    });
  },
};

function ofBuffer(
  subject: Subject,
  { hard, soft, softSeconds }: BufferLimit,
  size: number,
  rate: number,
): Finding {
  const found = `client-output-buffer-limit for replicas is ${hard === 0 ? "unlimited" : bytesText(hard)}`;
  const needed = rate * shortBreakSeconds;
  const enough = Math.max(needed, size, 256 * megabyte);
  const fix = subject.setting(
    "client-output-buffer-limit",
    `"replica ${roundSize(enough)} ${roundSize(Math.max(needed, enough / 4))} 60"`,
  );
  if (hard > 0 && hard < size)
    return subject.warn(`${found}, which is less than the backlog (${bytesText(size)})`, {
      why: "Redis ignores a limit below the size of the backlog, so the setting does not do what it says.",
      fix,
    });
  const least = Math.min(
    hard === 0 ? Number.POSITIVE_INFINITY : hard,
    soft === 0 ? Number.POSITIVE_INFINITY : soft,
  );
  if (least < needed)
    return subject.warn(
      `${found} (soft ${bytesText(soft)} for ${softSeconds} s), which is ${durationText((least / rate) * 1_000)} of writes`,
      {
        why: "A replica that copies all data for longer is disconnected and begins again, for ever.",
        fix,
      },
    );
  return subject.pass(
    `${found}, soft limit ${soft === 0 ? "none" : `${bytesText(soft)} for ${softSeconds} s`}`,
  );
}

const disklessLoad: Check = {
  id: "diskless-load",
  group: "Replication",
  title: "what a replica serves while it loads",
  examine(deployment) {
    return openServers(deployment, "replica").map((replica) => {
      const subject = new Subject(this, replica);
      return subject.config("repl-diskless-load", (value) => {
        const found = `repl-diskless-load is ${value}`;
        const fix = subject.setting("repl-diskless-load", "on-empty-db");
        if (value === "swapdb")
          return subject.warn(found, {
            why: "While it loads, the replica holds its data twice and may answer with the old data.",
            fix,
          });
        if (value === "flush-before-load")
          return subject.warn(found, {
            why: "If the copy is interrupted, the replica is left empty and answers that keys are missing.",
            fix,
          });
        return subject.pass(found);
      });
    });
  },
};

const timeout: Check = {
  id: "replication-timeout",
  group: "Replication",
  title: "timeout of the link",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      return subject.config("repl-timeout", (text) =>
        subject.config("repl-ping-replica-period", (ping) => {
          const found = `repl-timeout is ${text} s, and a PING comes every ${ping} s`;
          if (Number(text) > Number(ping)) return subject.pass(found);
          return subject.fail(found, {
            why: "The link breaks whenever the primary writes nothing for a while, and no break is noticed in time.",
            fix: subject.setting("repl-timeout", String(Math.max(Number(ping) * 6, 60))),
          });
        }),
      );
    });
  },
};

const nodelay: Check = {
  id: "replication-nodelay",
  group: "Replication",
  title: "delay before the stream is sent",
  examine(deployment) {
    return feeding(deployment).map((primary) => {
      const subject = new Subject(this, primary);
      return subject.config("repl-disable-tcp-nodelay", (value) =>
        value === "no"
          ? subject.pass("repl-disable-tcp-nodelay is no, so writes are sent at once")
          : subject.warn("repl-disable-tcp-nodelay is yes", {
              why: "The kernel holds small writes back, by 40 ms on Linux. So replicas lag by as much.",
              fix: subject.setting("repl-disable-tcp-nodelay", "no"),
            }),
      );
    });
  },
};

const serveStale: Check = {
  id: "serve-stale-data",
  group: "Replication",
  title: "replicas without their primary",
  examine(deployment) {
    return openServers(deployment, "replica").map((replica) => {
      const subject = new Subject(this, replica);
      return subject.config("replica-serve-stale-data", (value) =>
        value === "yes"
          ? subject.pass("replica-serve-stale-data is yes")
          : subject.warn(`replica-serve-stale-data is ${value}`, {
              why: "While the link is down, for example in a failover, the replica answers each read with MASTERDOWN. Tidemark judges the age of the data itself.",
              fix: subject.setting("replica-serve-stale-data", "yes"),
            }),
      );
    });
  },
};

const readOnly: Check = {
  id: "read-only-replicas",
  group: "Replication",
  title: "replicas that take no writes",
  examine(deployment) {
    return openServers(deployment, "replica").map((replica) => {
      const subject = new Subject(this, replica);
      return subject.info((info) =>
        info.get("slave_read_only") === "1"
          ? subject.pass("takes no writes of its own")
          : subject.fail("replica-read-only is no", {
              why: "A replica that takes writes has other data than its primary at the same position. Nothing can notice that.",
              fix: subject.setting("replica-read-only", "yes"),
            }),
      );
    });
  },
};

const candidates: Check = {
  id: "failover-candidates",
  group: "Replication",
  title: "replicas that may become the primary",
  examine(deployment) {
    return feeding(deployment).flatMap((primary): Finding[] => {
      const replicas = deployment.replicasOf(primary).filter(({ info }) => info.kind === "value");
      const subject = new Subject(this, primary);
      if (replicas.length === 0) return [subject.skip("the priorities of the replicas are unknown")];
      const hidden = replicas.filter(({ info }) => valueIn(info)?.get("replica_announced") === "0");
      const isCandidate = replicas.some(({ info }) => valueIn(info)?.get("slave_priority") !== "0");
      const findings = hidden.map((replica) => ofHidden(new Subject(this, replica), deployment));
      if (isCandidate) return [...findings, subject.pass("a replica may become the primary")];
      const [first] = replicas;
      return [
        ...findings,
        subject.warn("replica-priority is 0 on every replica", {
          why: "Sentinel never promotes such a replica, so nothing replaces this primary if it fails.",
          ...(first === undefined
            ? {}
            : { fix: new Subject(this, first).setting("replica-priority", "100") }),
        }),
      ];
    });
  },
};

function ofHidden(subject: Subject, { target }: Deployment): Finding {
  const found = "replica-announced is no";
  if (target.kind !== "sentinel") return subject.pass(`${found}, which matters only with Sentinels`);
  return subject.warn(found, {
    why: "Sentinels keep quiet about this replica, so Tidemark does not find it.",
    fix: subject.setting("replica-announced", "yes"),
  });
}

export const replicationSettingsChecks: readonly Check[] = [
  ...[backlog, outputBuffer, disklessLoad, timeout, nodelay, serveStale, readOnly, candidates],
];
