/** Checks of the connections: can the servers be reached, and are they what they seem to be? */
import { type Answer, converted, valueIn } from "../../inspection/answer.js";
import { quantile } from "../../inspection/distribution.js";
import { parseFlatList } from "../../inspection/info.js";
import type { InspectedServer, TriedRight } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { durationText } from "../quantities.js";
import { redisCli } from "../redis-cli.js";
import { openServers, Subject } from "../subject.js";

const farMs = 10;
/** The oldest version that Tidemark is tested with. */
const oldest = [6, 2] as const;

const reachable: Check = {
  id: "reachable",
  group: "Connection",
  title: "connection from here",
  examine({ servers, sentinels }) {
    return [...servers, ...sentinels].map((server) => {
      const subject = new Subject(this, server);
      const { connection, announcedBy, ignoresPassword } = server;
      if (ignoresPassword)
        return subject.warn("answers, but asks for no password, although you gave one", {
          why: "Everybody who reaches this address can read and change all data.",
          fix: redisCli(server, "CONFIG SET requirepass <password>"),
        });
      if (connection.kind === "value") return subject.pass("answers");
      const reason =
        connection.kind === "hidden" ? `the rule ${connection.rule} is missing` : connection.message;
      const origin = announcedBy === undefined ? "" : ` (${announcedBy} announces this address)`;
      return subject.fail(`cannot be used${origin}: ${reason}`, {
        why: `Tidemark connects from your app to each of these addresses. ${adviceFor(reason)}`,
      });
    });
  },
};

/** What to do about an error of a connection. */
function adviceFor(reason: string): string {
  if (/WRONGPASS|NOAUTH|invalid password/.test(reason)) return "Check the user name and the password.";
  if (/certificate|self.signed|SSL|TLS/i.test(reason))
    return "Check the certificate, and give its authority with --tls-ca.";
  if (/ENOTFOUND|EAI_AGAIN/.test(reason)) return "Check the host name.";
  if (/Protocol error|closed/i.test(reason))
    return "Check whether the port expects TLS (rediss://) or a plain connection.";
  return "Check the address, the firewall and that the server runs. If it announces an address that only works inside, use --nat-map.";
}

const roundTrip: Check = {
  id: "round-trip",
  group: "Connection",
  title: "time of a round trip",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      return subject.judge(server.roundTripsMs, "the round trip", (times) => {
        const median = quantile(times, 0.5);
        const found = `100 PINGs took ${durationText(median)} each (p50), ${durationText(quantile(times, 0.99))} (p99)`;
        if (median < farMs) return subject.pass(found);
        return subject.warn(found, {
          why: "That is far for a cache. Each read costs at least this time. Run the doctor where your app runs, and put replicas near it.",
        });
      });
    });
  },
};

const version: Check = {
  id: "version",
  group: "Connection",
  title: "engine and version",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      const hello = converted(server.answer("hello"), parseFlatList);
      const name = valueIn(server.info)?.get("valkey_version") === undefined ? "Redis" : "Valkey";
      const versions = converted(
        server.info,
        (info) => info.get("valkey_version") ?? info.get("redis_version"),
      );
      const told =
        versions.kind === "value" ? versions : converted(hello, (fields) => textOf(fields.get("version")));
      return subject.judge(told, "the version", (text) => {
        const found = `${name} ${text}`;
        if (name === "Valkey" || isAtLeast(text, oldest)) return subject.pass(found);
        return subject.warn(`${found} is older than ${oldest.join(".")}`, {
          why: "Tidemark is not tested with this version, and it gets no security updates.",
        });
      });
    });
  },
};

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function isAtLeast(text: string, [major, minor]: readonly [number, number]): boolean {
  const [first = 0, second = 0] = text.split(".").map(Number);
  return first > major || (first === major && second >= minor);
}

/** What shows that a server is none that replicates as Redis and Valkey do, by a field of INFO. */
const otherEngines: ReadonlyMap<string, string> = new Map([
  ["rlec_version", "Redis Software or Redis Cloud, whose proxy stands in front of the shards"],
  ["dragonfly_version", "Dragonfly, whose offsets cannot be compared between servers"],
  ["kvrocks_version", "Kvrocks, which replicates in another way"],
  ["garnet_version", "Garnet, which replicates in another way"],
  ["upstash_version", "Upstash, which replicates in another way"],
]);

/** Managed services whose addresses end like this. */
const hostSuffixes: readonly (readonly [suffix: string, service: string])[] = [
  [".cache.amazonaws.com", "Amazon ElastiCache"],
  [".memorydb.amazonaws.com", "Amazon MemoryDB"],
  [".redis.cache.windows.net", "Azure Cache for Redis"],
  [".redis.azure.net", "Azure Managed Redis"],
  [".upstash.io", "Upstash"],
  [".redislabs.com", "Redis Cloud"],
  [".redis-cloud.com", "Redis Cloud"],
];
/** Services that run servers of Redis or Valkey and show their own INFO. */
const ownInfo = new Set(["Amazon ElastiCache", "Azure Cache for Redis"]);

const managedService: Check = {
  id: "managed-service",
  group: "Connection",
  title: "engine or service behind the address",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      const info = valueIn(server.info);
      const engine = [...otherEngines].find(([name]) => info?.has(name))?.[1];
      const { host = "" } = server.options;
      const byHost = hostSuffixes.find(([suffix]) => host.toLowerCase().endsWith(suffix))?.[1];
      const service = byHost ?? (info?.get("os")?.includes("ElastiCache") ? "Amazon ElastiCache" : undefined);
      if (engine !== undefined || (service !== undefined && !ownInfo.has(service)))
        return subject.warn(`this is ${engine ?? service}`, {
          why: "Tidemark is not tested with it, and positions may prove nothing there. Give `replicas: []`, so that the primary answers every read.",
        });
      if (service !== undefined)
        return subject.pass(`this is ${service}, which shows the INFO of the servers themselves`);
      return info === undefined && server.info.kind !== "value"
        ? subject.unanswered(server.info, "INFO")
        : subject.pass("no sign of another engine or of a managed service");
    });
  },
};

const sameServer: Check = {
  id: "same-server",
  group: "Connection",
  title: "one server behind the address",
  examine(deployment) {
    return openServers(deployment).map((server) => {
      const subject = new Subject(this, server);
      const own = valueIn(server.info)?.get("run_id");
      return subject.judge(server.runIds, "the run_id", (ids) => {
        const different = new Set(own === undefined ? ids : [own, ...ids]).size;
        if (different === 1) return subject.pass("8 more connections led to the same server");
        const found = `9 connections led to ${different} servers, so there is a balancer behind this address`;
        return server.role === "replica"
          ? subject.warn(found, {
              why: "Reads through it are safe. But give the address once for each connection that you want, or better the addresses of the replicas themselves.",
            })
          : subject.fail(found, {
              why: "Writes and the proof of their position would go to different servers. Give the address of the primary itself.",
            });
      });
    });
  },
};

const rights: Check = {
  id: "rights",
  group: "Connection",
  title: "rights of this user",
  examine(deployment) {
    return openServers(deployment).map((server): Finding => {
      const subject = new Subject(this, server);
      const user = nameOf(server.answer("user"));
      const missing = server.rights.filter(({ answer }) => answer.kind === "hidden");
      const absent = server.rights.filter(({ answer }) => answer.kind === "absent");
      const failed = server.rights.find(
        ({ answer, name }) => answer.kind === "failed" && isRefusal(answer, name),
      );
      if (missing.length > 0) return lacking(subject, server, user, missing);
      if (absent.length > 0)
        return subject.warn(`the server does not know ${absent.map(({ name }) => name).join(", ")}`, {
          why: `${absent.map(({ lack }) => lack).join(". ")}.`,
        });
      if (failed?.answer.kind === "failed")
        return subject.skip(`the rights are unknown: ${failed.answer.message}`);
      if (server.rights.length === 0) return subject.skip("the rights are unknown: the server was not asked");
      return subject.pass(`${user} may send what Tidemark sends`);
    });
  },
};

/** Whether an error says that the right could not be tried. CLIENT TRACKING fails over RESP2 although it is allowed. */
function isRefusal(answer: Answer<unknown>, name: string): boolean {
  return name !== "client|tracking" && "message" in answer && !answer.message.startsWith("ERR DISCARD");
}

function lacking(
  subject: Subject,
  server: InspectedServer,
  user: string,
  missing: readonly TriedRight[],
): Finding {
  const names = missing.map(({ name }) =>
    name === "marker" ? "keys that begin with tidemark:" : name.toUpperCase(),
  );
  const rules = missing.map(({ name }) => (name === "marker" ? "~tidemark:* +get +set" : `+${name}`));
  const found = `${user} may not use ${names.join(", ")}`;
  const isBlind = missing.some(({ name }) => name === "info");
  const hasMarker = !missing.some(({ name }) => name === "marker");
  const consequence = isBlind ? [hasMarker ? blindWithMarker : blind] : [];
  const advice = {
    why: `${[...missing.map(({ lack }) => lack), ...consequence].join(". ")}.`,
    fix: redisCli(
      server,
      `ACL SETUSER ${user} ${rules.map((rule) => (/[~|*]/.test(rule) ? quoted(rule) : rule)).join(" ")}`,
    ),
  };
  return isBlind && !hasMarker ? subject.fail(found, advice) : subject.warn(found, advice);
}

const blind = "So the primary answers every read";
const blindWithMarker = "Tidemark then uses a small key instead, and discovers no replicas";

function quoted(rules: string): string {
  return rules
    .split(" ")
    .map((rule) => `'${rule}'`)
    .join(" ");
}

function nameOf(answer: Answer<unknown>): string {
  return answer.kind === "value" && typeof answer.value === "string" ? answer.value : "this user";
}

export const connectionChecks: readonly Check[] = [
  ...[reachable, roundTrip, version, managedService, sameServer, rights],
];
