/** Checks of the app's own options, and of what its servers allow. */
import { valueIn } from "../../inspection/answer.js";
import type { Deployment } from "../../inspection/deployment.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { durationText } from "../quantities.js";
import { openServers, Subject } from "../subject.js";

const options: Check = {
  id: "tidemark-options",
  group: "Tidemark",
  title: "times in the options",
  examine(deployment) {
    const findings = [...wrongTimes(new Subject(this), deployment)];
    const { maxStalenessMs, tokenTtlMs } = deployment.settings;
    if (findings.length > 0) return findings;
    return [
      new Subject(this).pass(
        `tokenTtlMs (${durationText(tokenTtlMs)}) is greater than maxStalenessMs (${durationText(maxStalenessMs)})`,
      ),
    ];
  },
};

function* wrongTimes(subject: Subject, { settings }: Deployment): Generator<Finding> {
  const { maxStalenessMs, tokenTtlMs, waitMs, probeIntervalMs } = settings;
  if (tokenTtlMs <= maxStalenessMs)
    yield subject.fail(
      `tokenTtlMs (${durationText(tokenTtlMs)}) is not greater than maxStalenessMs (${durationText(maxStalenessMs)})`,
      {
        why: "A token can expire before its write reaches a replica. Tidemark refuses these options.",
        fix: `new Tidemark({ …, tokenTtlMs: ${Math.max(60_000, maxStalenessMs * 6)} })`,
      },
    );
  if (probeIntervalMs >= maxStalenessMs)
    yield subject.warn(
      `probeIntervalMs (${durationText(probeIntervalMs)}) is not below maxStalenessMs (${durationText(maxStalenessMs)})`,
      {
        why: "Positions are then too old to prove that a replica is fresh enough, so the primary answers.",
        fix: `new Tidemark({ …, probeIntervalMs: ${Math.max(1, Math.floor(maxStalenessMs / 40))} })`,
      },
    );
  if (waitMs >= maxStalenessMs)
    yield subject.warn(
      `waitMs (${durationText(waitMs)}) is not below maxStalenessMs (${durationText(maxStalenessMs)})`,
      {
        why: "A read may wait longer for a replica than the replica may be behind. Such a replica is not used anyway.",
        fix: `new Tidemark({ …, waitMs: ${Math.floor(maxStalenessMs / 10)} })`,
      },
    );
}

const database: Check = {
  id: "same-database",
  group: "Tidemark",
  title: "one database and one key prefix for all servers",
  examine(deployment) {
    const { target } = deployment;
    if (target.kind === "sentinel") return missingDatabases(this, deployment, target.redis.db);
    const subject = new Subject(this);
    const different = (name: "db" | "keyPrefix", fallback: string): readonly string[] => [
      ...new Set(target.servers.map((server) => String(server[name] ?? fallback))),
    ];
    const databases = different("db", "0");
    const prefixes = different("keyPrefix", "");
    const findings: Finding[] = [];
    if (target.kind === "cluster" && databases.some((db) => db !== "0"))
      findings.push(
        subject.fail(`a URL names database ${databases.find((db) => db !== "0")}`, {
          why: "A cluster has only database 0. Remove the path of the URL.",
        }),
      );
    else if (databases.length > 1)
      findings.push(
        subject.fail(`the URLs name different databases: ${databases.join(" and ")}`, {
          why: "Users would not see their own writes, so Tidemark refuses these options. Name the same database in each URL.",
        }),
      );
    if (prefixes.length > 1)
      findings.push(
        subject.fail(
          `the URLs name different key prefixes: ${prefixes.map((one) => `"${one}"`).join(" and ")}`,
          {
            why: "Keys would differ from server to server, so Tidemark refuses these options. Use the same keyPrefix for all.",
          },
        ),
      );
    findings.push(...missingDatabases(this, deployment, Number(databases[0])));
    if (findings.length > 0) return findings;
    const prefix = prefixes[0] ? `, key prefix "${prefixes[0]}"` : "";
    return [subject.pass(`database ${databases[0] ?? 0}${prefix}`)];
  },
};

/** A finding for each server that does not have the database. */
function missingDatabases(check: Check, deployment: Deployment, db = 0): readonly Finding[] {
  return openServers(deployment).flatMap((server) => {
    const databases = Number(valueIn(server.config("databases")) ?? Number.POSITIVE_INFINITY);
    if (db < databases) return [];
    return [
      new Subject(check, server).fail(
        `there is no database ${db}, because it has only ${databases} (0 to ${databases - 1})`,
        {
          why: "The server refuses SELECT, so it gets no commands. Name another database, or raise `databases` in its configuration file.",
        },
      ),
    ];
  });
}

const durability: Check = {
  id: "durability-mode",
  group: "Durability",
  title: "writes on disk before they are acknowledged",
  examine(deployment) {
    return openServers(deployment, "primary").map((primary) => {
      const subject = new Subject(this, primary);
      return subject.info((info) => {
        const [major = 0, minor = 0] = (info.get("redis_version") ?? "0.0").split(".").map(Number);
        const hasWaitAof = info.has("valkey_version") || major > 7 || (major === 7 && minor >= 2);
        const isLogged = info.get("aof_enabled") === "1";
        const fsync = valueIn(primary.config("appendfsync"));
        if (!hasWaitAof) return subject.skip("replicated(n, { fsync: true }) needs Redis or Valkey 7.2");
        if (!isLogged)
          return subject.skip("replicated(n, { fsync: true }) needs an append-only file on each server", {
            why: "Without it, a write is in memory only when it is acknowledged.",
            fix: subject.setting("appendonly", "yes"),
          });
        return subject.pass(
          `replicated(n, { fsync: true }) works${fsync === undefined ? "" : `. appendfsync is ${fsync}`}${fsync === "everysec" ? ", so such a write takes up to a second" : ""}`,
        );
      });
    });
  },
};

export const settingsChecks: readonly Check[] = [options, database];
export const durabilityModeChecks: readonly Check[] = [durability];
