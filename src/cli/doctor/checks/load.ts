/** Checks of what slows servers down, because a slow server makes its replicas lag. */
import { valueIn } from "../../inspection/answer.js";
import { numberIn, parsePairs } from "../../inspection/info.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import { bytesText, countText, durationText } from "../quantities.js";
import { redisCli } from "../redis-cli.js";
import { openServers, Subject } from "../subject.js";

/** A server that does nothing else for so long delays everything behind it, replication included. */
const slowMs = 100;

interface Slow {
  readonly what: string;
  readonly ms: number;
  /** In seconds since 1970. */
  readonly at: number;
}

const slowCommands: Check = {
  id: "slow-commands",
  group: "Lag",
  title: "commands that block the server",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      return subject.judge(server.answer("slowLog"), "SLOWLOG", (log) => {
        const [slowest] = [...slowIn(log), ...eventsIn(server)].sort((one, other) => other.ms - one.ms);
        if (slowest === undefined) return subject.pass("the slow log is empty");
        const found = `the slowest of the latest is ${slowest.what} with ${durationText(slowest.ms)}, ${agoText(slowest.at)} ago`;
        if (slowest.ms < slowMs) return subject.pass(found);
        return subject.warn(found, {
          why: "Meanwhile the server answers nobody, and its replicas get no writes. On a replica, it applies no writes.",
          fix: redisCli(server, "SLOWLOG GET 10"),
        });
      });
    });
  },
};

/** The entries of the slow log. Arguments are left out, because they are the app's data. */
function slowIn(log: unknown): readonly Slow[] {
  const entries: readonly unknown[] = Array.isArray(log) ? log : [];
  return entries.flatMap((entry) => {
    const [, at, micros, command] = Array.isArray(entry) ? entry : [];
    const name: unknown = Array.isArray(command) ? command[0] : undefined;
    return typeof at === "number" && typeof micros === "number" && typeof name === "string"
      ? [{ what: name.toUpperCase(), ms: micros / 1_000, at }]
      : [];
  });
}

/** The events of the latency monitor, which is off by default. */
function eventsIn(server: InspectedServer): readonly Slow[] {
  const latest = valueIn(server.answer("latency"));
  const events: readonly unknown[] = Array.isArray(latest) ? latest : [];
  return events.flatMap((event) => {
    const [name, at, ms] = Array.isArray(event) ? event : [];
    // Forks have a check of their own.
    return typeof name === "string" && typeof at === "number" && typeof ms === "number" && name !== "fork"
      ? [{ what: `the event ${name}`, ms, at }]
      : [];
  });
}

function agoText(seconds: number): string {
  return durationText(Math.max(0, Math.round(Date.now() / 1_000 - seconds)) * 1_000);
}

const forks: Check = {
  id: "fork-time",
  group: "Lag",
  title: "time to fork for a snapshot",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      return subject.info((info) => {
        const micros = numberIn(info, "latest_fork_usec");
        if (micros === undefined) return subject.skip("INFO has no latest_fork_usec");
        if (micros === 0) return subject.pass("the server has not forked yet");
        const found = `the latest fork took ${durationText(micros / 1_000)}`;
        if (micros < slowMs * 1_000) return subject.pass(found);
        const pages = valueIn(server.config("disable-thp")) === "no";
        return subject.warn(found, {
          why: `The server answers nobody while it forks, so each snapshot and each full resynchronisation is a peak of lag.${pages ? " disable-thp is no: transparent huge pages make forks slower." : ""} Use smaller servers, or turn transparent huge pages off.`,
        });
      });
    });
  },
};

/** Redis's default for the soft limit. */
const defaultSoftLimit = 67_108_864;
const highShare = 0.25;

const replicaBuffers: Check = {
  id: "replica-buffers",
  group: "Replication",
  title: "data that waits to be sent to replicas",
  examine(deployment) {
    return openServers(deployment, "primary").map((primary) => {
      const subject = new Subject(this, primary);
      return subject.judge(primary.answer("replicaClients"), "CLIENT LIST", (text) => {
        const clients = String(text)
          .split("\n")
          .map(parsePairs)
          .filter((pairs) => pairs.size > 0);
        const largest = Math.max(0, ...clients.map((pairs) => numberIn(pairs, "omem") ?? 0));
        const limit = softLimitOf(primary);
        const found = `${bytesText(largest)} wait for the slowest of ${countText(clients.length, "replica")}`;
        if (clients.length === 0) return subject.skip("no replica is connected");
        if (largest < limit * highShare) return subject.pass(found);
        return subject.warn(`${found}. The soft limit is ${bytesText(limit)}`, {
          why: "The replica does not keep up with the writes. At the limit the primary disconnects it, and it copies all data again.",
          fix: subject.setting("client-output-buffer-limit", '"replica 1gb 256mb 60"'),
        });
      });
    });
  },
};

/** The soft limit for replicas, or the hard one if there is no soft one. */
function softLimitOf(server: InspectedServer): number {
  const text = valueIn(server.config("client-output-buffer-limit")) ?? "";
  const [, hard, soft] = /(?:slave|replica) (\d+) (\d+)/.exec(text) ?? [];
  return Number(soft) || Number(hard) || defaultSoftLimit;
}

export const loadChecks: readonly Check[] = [slowCommands, forks];
export const bufferChecks: readonly Check[] = [replicaBuffers];
