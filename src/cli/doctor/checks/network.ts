/** Checks of what lies between the app and the servers: addresses, proxies, and limits of connections. */
import { addressOf } from "../../../address.js";
import { valueIn } from "../../inspection/answer.js";
import type { Deployment } from "../../inspection/deployment.js";
import { numberIn, parsePairs } from "../../inspection/info.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import type { Finding } from "../finding.js";
import { doctorLine } from "../lines.js";
import { durationText } from "../quantities.js";
import { redisCli } from "../redis-cli.js";
import { isOpen, openServers, Subject } from "../subject.js";

/** Errors of the network, and not of a server. */
const unreachable =
  /ECONNREFUSED|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|did not answer|ECONNRESET|closed/;

const announcedAddresses: Check = {
  id: "announced-addresses",
  group: "Connection",
  title: "addresses that servers announce",
  examine(deployment) {
    const announced = [...deployment.servers, ...deployment.sentinels].filter(
      ({ source, announcedBy }) => source !== "given" && announcedBy !== undefined,
    );
    const aliases = deployment.servers.flatMap(({ aliases: names }) => [...names]);
    const subject = new Subject(this);
    if (announced.length + aliases.length === 0)
      return [silence(this, deployment) ?? subject.skip("no server announces another one")];
    const lost = announced.filter(
      ({ connection }) => connection.kind === "failed" && unreachable.test(connection.message),
    );
    const strangers = announced.filter((server) => isStranger(server, deployment));
    if (strangers.length > 0)
      return strangers.map((server) => strangerFinding(new Subject(this, server), server));
    if (lost.length === 0)
      return [subject.pass(`${announced.length + aliases.length} announced, all reachable from here`)];
    return lost.map((server) => unreachableFinding(new Subject(this, server), server, deployment));
  },
};

/** Whether a primary lists the server as its replica, but a primary of another history answers at the address. */
function isStranger(server: InspectedServer, { primaries }: Deployment): boolean {
  const by = primaries.find(({ address }) => address === server.announcedBy);
  return by !== undefined && server.source === "announced" && server.role === "primary";
}

function strangerFinding(subject: Subject, { announcedBy }: InspectedServer): Finding {
  return subject.fail(
    `${announcedBy} announces this address for its replica, but another primary answers here`,
    {
      why: "The replica announces the address of another server (replica-announce-ip, replica-announce-port), or an address that leads elsewhere from here. Correct it and let the replica connect again, or map it with natMap.",
    },
  );
}

/** The finding if no server tells this user its INFO, so that nothing is known. */
function silence(check: Check, deployment: Deployment): Finding | undefined {
  const [first, ...others] = openServers(deployment);
  if (first === undefined || [first, ...others].some(({ info }) => info.kind === "value")) return undefined;
  const subject = new Subject(check, first);
  return first.info.kind === "value" ? undefined : subject.unanswered(first.info, "INFO");
}

function unreachableFinding(subject: Subject, server: InspectedServer, deployment: Deployment): Finding {
  const reason = "message" in server.connection ? server.connection.message : "";
  const to = placesNobodyAnnounces(deployment);
  const place = to.length === 1 ? to[0] : undefined;
  const { host = "<reachable host>", port = 6379 } = place?.options ?? { port: server.options.port };
  return subject.fail(
    `${server.announcedBy} announces this address, but it cannot be reached from here: ${reason}`,
    {
      why: "Tidemark connects to the addresses that servers announce. If the server runs, its address is one of a container or behind NAT. Map it, or have the server announce another address (replica-announce-ip).",
      fix: `redis: { natMap: { "${server.address}": { host: "${host}", port: ${port} } } }`,
    },
  );
}

/** The given replicas that no server announces. One of them may be what an unreachable address stands for. */
function placesNobodyAnnounces({ servers }: Deployment): readonly InspectedServer[] {
  const announced = new Set(servers.flatMap((server) => server.announced.map(addressOf)));
  return servers.filter(
    (server) =>
      server.source === "given" &&
      server.role === "replica" &&
      ![server.address, ...server.aliases].some((address) => announced.has(address)),
  );
}

const distinctServers: Check = {
  id: "distinct-servers",
  group: "Connection",
  title: "each given address is another server",
  examine(deployment) {
    const byId = new Map<string, InspectedServer[]>();
    for (const server of [...deployment.servers, ...deployment.sentinels]) {
      const id = valueIn(server.info)?.get("run_id");
      if (id !== undefined) byId.set(id, [...(byId.get(id) ?? []), server]);
    }
    const twins = [...byId.values()].filter((servers) => servers.length > 1);
    if (twins.length === 0) return byId.size > 1 ? [new Subject(this).pass("no server is given twice")] : [];
    return twins.map((servers) =>
      new Subject(this, servers[0]).fail(
        `${servers.map(({ address }) => address).join(" and ")} are the same server`,
        {
          why: "A server cannot be its own replica. Give each server once, with the address of the server itself.",
        },
      ),
    );
  },
};

const primaryFirst: Check = {
  id: "primary-first",
  group: "Connection",
  title: "the primary comes first",
  examine({ servers, target }) {
    const given = servers.filter(({ source }) => source === "given");
    const [first] = given;
    // The check of roles says it of a single URL.
    const primary = (given.length > 1 ? servers : []).find(({ role }) => role === "primary");
    if (target.kind !== "servers" || first?.role !== "replica" || primary === undefined) return [];
    const subject = new Subject(this, first);
    return [
      subject.warn(`the first URL is that of a replica, and the primary is ${primary.address}`, {
        why: `The other servers take their options from the first one. If your app has it as \`primary\`, set \`primary\` to ${primary.address}.`,
        fix: doctorLine([primary, ...given.filter((one) => one !== primary)]),
      }),
    ];
  },
};

/** ElastiCache's names for all replicas at once. */
const readerEndpoint = /(^|[.-])(ro|replica)[.-].*\.cache\.amazonaws\.com$/i;

const proxy: Check = {
  id: "proxy",
  group: "Connection",
  title: "no proxy that spreads commands",
  examine(deployment) {
    return deployment.servers.flatMap((server) => {
      const subject = new Subject(this, server);
      const { host = "" } = server.options;
      if (readerEndpoint.test(host))
        return [
          subject.warn("the host is a reader endpoint, which is one name for all replicas", {
            why: "Each connection may lead to another replica, and Tidemark cannot use the others. Give the address of each node.",
          }),
        ];
      return isOpen(server) ? [proxyFinding(subject, server)] : [];
    });
  },
};

const instead = "Give the addresses of the Redis servers themselves.";

function proxyFinding(subject: Subject, server: InspectedServer): Finding {
  const sign = proxySignOf(server);
  if (sign !== undefined)
    return subject.fail(`it looks like a proxy that spreads commands: ${sign}`, {
      why: `Such a proxy has no position of its own, so the primary answers every read. ${instead}`,
    });
  const { clientIds, transaction, transport, info } = server;
  if (info.kind !== "value") return subject.unanswered(info, "INFO");
  if (isShared(server))
    return subject.fail("several connections to it share one connection to the server behind it", {
      why: `A position counts only on the connection of the write, and a proxy that shares connections mixes them. ${instead}`,
    });
  if (
    transaction.kind === "absent" ||
    (transaction.kind === "failed" && unreachable.test(transaction.message))
  )
    return subject.fail(`it does not run MULTI and EXEC (${transaction.message})`, {
      why: `Tidemark proves the position of a read in a transaction. ${instead}`,
    });
  const client = parsePairs(String(valueIn(server.answer("client")) ?? ""));
  const isDirect = client.get("addr") === transport?.local && client.get("laddr") === transport?.remote;
  if (clientIds.kind !== "value") return subject.unanswered(clientIds, "CLIENT ID");
  if (isDirect) return subject.pass("connected directly");
  if (client.get("laddr") === undefined)
    return subject.pass("each connection leads to a connection of its own");
  return subject.pass(
    `behind a proxy or address translation (the server sees ${client.get("addr")} at ${client.get("laddr")}), but each connection leads to a connection of its own`,
  );
}

/** Whether connections share one connection to the same server. Different servers may give the same number. */
function isShared({ clientIds, runIds }: InspectedServer): boolean {
  if (clientIds.kind !== "value" || runIds.kind !== "value") return false;
  return new Set(runIds.value).size === 1 && new Set(clientIds.value).size < clientIds.value.length;
}

/** How the server shows that it is no single server. A server that only renames INFO still knows HELLO. */
function proxySignOf(server: InspectedServer): string | undefined {
  const { info } = server;
  if (info.kind === "failed" && /closed|ECONNRESET|EPIPE/.test(info.message))
    return "it answers PING, but closes the connection when it receives INFO";
  const others = ["hello", "client"] as const;
  if (info.kind === "absent" && others.every((name) => server.answer(name).kind === "absent"))
    return `it answers INFO with "${info.message}"`;
  return undefined;
}

/** Below this, connections that are used now and then are closed between two uses. */
const shortTimeoutSeconds = 300;

const idleTimeout: Check = {
  id: "idle-timeout",
  group: "Connection",
  title: "idle connections stay open",
  examine({ servers, settings }) {
    return servers.filter(isOpen).map((server) => {
      const subject = new Subject(this, server);
      return subject.config("timeout", (timeout) => {
        const seconds = Number(timeout);
        if (seconds > 0 && seconds < shortTimeoutSeconds)
          return subject.warn(
            `timeout is ${seconds}: the server closes a connection that was idle for ${seconds} s`,
            {
              why: `The first read after a quiet time has to wait for a new connection. Tidemark asks servers every ${durationText(settings.probeIntervalMs)}, but only while they are in use.`,
              fix: subject.setting("timeout", "0"),
            },
          );
        const keepalive = valueIn(server.config("tcp-keepalive"));
        if (keepalive === "0")
          return subject.warn("tcp-keepalive is 0", {
            why: "The server keeps connections of clients that are gone, and firewalls close idle connections without a word.",
            fix: subject.setting("tcp-keepalive", "300"),
          });
        return subject.pass(
          `timeout is ${seconds}${keepalive === undefined ? "" : `, tcp-keepalive is ${keepalive}`}`,
        );
      });
    });
  },
};

/** Each process has this many connections to each server. Subscriptions and blocking commands add to them. */
const perServer = 2;
const highShare = 0.8;

const connectionLimit: Check = {
  id: "connection-limit",
  group: "Connection",
  title: "room for the app's connections",
  examine({ servers, settings }) {
    return servers.filter(isOpen).map((server) => {
      const subject = new Subject(this, server);
      return subject.info((info) => {
        const clients = numberIn(info, "connected_clients");
        const limit = numberIn(info, "maxclients") ?? Number(valueIn(server.config("maxclients")));
        if (clients === undefined || !(limit > 0)) return subject.skip("INFO has no maxclients");
        const needed = settings.processes * perServer;
        const found = `${clients} of ${limit} connections are in use, and your app opens ${needed} more (processes: ${settings.processes})`;
        const advice = {
          why: "A server at its limit refuses connections, so the app loses it after the next reconnect.",
          fix: redisCli(server, `CONFIG SET maxclients ${Math.max(10_000, (clients + needed) * 2)}`),
        };
        if (clients + needed > limit) return subject.fail(found, advice);
        return clients + needed > limit * highShare ? subject.warn(found, advice) : subject.pass(found);
      });
    });
  },
};

const zones: Check = {
  id: "zones",
  group: "Tidemark",
  title: "availability zones",
  examine(deployment) {
    const subject = new Subject(this);
    const open = openServers(deployment);
    const known = new Map(
      open.flatMap((server) => {
        const zone = valueIn(server.info)?.get("availability_zone");
        return zone ? [[server.address, zone] as const] : [];
      }),
    );
    if (open.length === 0) return [];
    if (known.size === 0)
      return [
        silence(this, deployment) ??
          subject.skip("no server reports its zone", {
            why: "If your servers are in several zones, set the options `zone` and `zones`, so that reads stay in the zone of the app.",
          }),
      ];
    const missing = open.filter(({ address }) => !known.has(address));
    const found = [...known].map(([address, zone]) => `${address} in ${zone}`).join(", ");
    if (missing.length === 0) return [subject.pass(found)];
    const entries = open.map(({ address }) => `"${address}": "${known.get(address) ?? "<zone>"}"`);
    return [
      subject.warn(`${found}, but ${missing.map(({ address }) => address).join(", ")} reports no zone`, {
        why: "Tidemark prefers replicas of its own zone, and counts a replica without a zone as one of another zone.",
        fix: `zones: { ${entries.join(", ")} }`,
      }),
    ];
  },
};

export const networkChecks: readonly Check[] = [
  announcedAddresses,
  distinctServers,
  primaryFirst,
  proxy,
  idleTimeout,
  connectionLimit,
];

export const zoneChecks: readonly Check[] = [zones];
