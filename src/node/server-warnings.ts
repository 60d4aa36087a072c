/** The process warnings for operators: what is wrong with a server, and what to do about it. */
import type { Connection } from "../connection/connection.js";
import type { NodeState } from "../diagnostics/channels.js";
import type { ProofKind } from "./position-probe.js";

const type = "TidemarkWarning";

const asPrimaryOnly = "Tidemark reads from this server only while it is the primary.";

/** The substitute for the position of a server whose ACL forbids INFO, and its guarantees. */
const substitutes: Readonly<Record<Exclude<ProofKind, "proxy">, string>> = {
  position: asPrimaryOnly,
  marker:
    "Tidemark uses a marker key behind each write instead. Sessions still see their own writes, but lost writes are not " +
    "reported, and promotions are followed only with Sentinels.",
  none: asPrimaryOnly,
};

const noDiscovery = " Without a position, Tidemark discovers no replicas, so the primary answers every read.";
const toDiscover = ' Allow INFO, or name the replicas: replicas: ["redis://host:port"].';

/** The cause if a replica has a position and its primary has none. */
export const primaryUnknown = "the position of the primary is unknown";

/** The cause if an ACL forbids the reads. */
export const deniesReads = "it refuses reads";

/** The cause if a replica is a primary with the history of the primary. */
export const isPrimaryItself =
  "it is a primary itself, with the same replication id as the known primary, so it may be the same server by another name";

/** Faults that end by themselves. */
const passing = /^(LOADING|BUSY|MASTERDOWN|marker)/;

const seeProxies = "See Proxies in docs/topologies.md.";

/** How Tidemark uses a proxy in each role. */
const usesOfProxies = {
  primary:
    'Tidemark uses it as the primary: all writes go there, and all reads but those at level "eventual". No write has a ' +
    "position, so replicas are not discovered, lost writes and promotions go unnoticed, and replicated() is always " +
    'rejected. Servers that you name in `replicas` answer only reads at level "eventual", and nothing limits the age of ' +
    `their data. To read from replicas at other levels, connect to the Redis servers themselves. ${seeProxies}`,
  replica:
    'It answers only reads at level "eventual", and only if the primary is such a proxy as well. Nothing limits the age ' +
    `of its data. To read from replicas at other levels, connect to the Redis servers themselves. ${seeProxies}`,
};

/** Warns once that the position of a server is unknown, because fewer servers answer reads then. */
export class ServerWarning {
  #isGiven = false;

  /**
   * Warns of the fault of a server, and names what proves the server's position instead. `discovers` is set if replicas are found
   * through the reports of the primary.
   */
  give(
    { address, waitsForConnection }: Connection,
    fault: string,
    kind: ProofKind | undefined,
    discovers: boolean,
  ): void {
    if (this.#isGiven || passing.test(fault)) return;
    // If a replica forbids INFO, another warning covers it: the one about its primary, or the one that the replica is unusable.
    if (!waitsForConnection && fault.startsWith("NOPERM")) return;
    this.#isGiven = true;
    if (kind === "proxy") {
      process.emitWarning(
        `Redis at ${address} looks like a proxy that spreads commands over several servers: ${fault}.`,
        {
          type: "TidemarkWarning",
          code: "TIDEMARK_PROXY",
          detail: usesOfProxies[waitsForConnection ? "primary" : "replica"],
        },
      );
      return;
    }
    const isForbidden = fault.startsWith("NOPERM");
    const what = isForbidden ? `${fault}. Allow it with the ACL rule +info` : fault;
    const remedy = isForbidden ? noDiscovery + toDiscover : noDiscovery;
    process.emitWarning(`Redis at ${address}: ${what}.${waitsForConnection && discovers ? remedy : ""}`, {
      type,
      code: "TIDEMARK_POSITION_UNKNOWN",
      detail: isForbidden && kind !== undefined ? substitutes[kind] : asPrimaryOnly,
    });
  }
}

/** A replica that answers no reads. */
export interface Unusable {
  readonly address: string;
  readonly state: NodeState;
  readonly reason: string;
  /** `host:port` of the primary that the replica should follow. */
  readonly primary: string;
  /** Whether servers announced the address of the replica. If not, the user gave it. */
  readonly isAnnounced: boolean;
  /** Whether the primary answers every read, because no other replica is usable. */
  readonly isLast: boolean;
}

const follow = ({ primary }: Unusable): string =>
  `Make it a replica of ${primary} with REPLICAOF, or remove it from the configuration.`;

/** The remedy for a replica in each state. There is no warning about a state without a remedy. */
const remedies: Readonly<Partial<Record<NodeState, (unusable: Unusable) => string>>> = {
  silent: ({ isAnnounced, reason }) => {
    // A server that has answered before has the right address.
    if (reason.includes("has not answered commands"))
      return "Check whether its process is stopped, and look for a slow command in its SLOWLOG.";
    return isAnnounced
      ? "Check that it runs. This address is the one that the servers announce: if it cannot be reached from here, map it " +
          'with redis: { natMap: { "announced-host:port": { host, port } } }.'
      : "Check that it runs, and its host, port and TLS options.";
  },
  unauthorized: ({ reason }) =>
    /'select' command/i.test(reason)
      ? "Allow SELECT with the ACL rule +select."
      : "Set the user name and the password that this server accepts.",
  loading: () => "Tidemark uses it once its data is loaded.",
  refusing: ({ reason, primary }) => {
    if (reason.includes("DB index is out of range"))
      return "Raise `databases` in the server's configuration, or set another `db`.";
    if (reason.startsWith("it reports offset"))
      return `Check that it replicates from ${primary}, and configure its own address if a proxy is in front of it.`;
    if (reason.includes("is a Sentinel"))
      return "Sentinels name the primary and the replicas, so remove `primary` and `replicas`.";
    if (reason.startsWith(deniesReads))
      return "On this replica, give the ACL user of Tidemark the same rules as on the primary, for example +@read ~*.";
    return "Check the server's log and its SLOWLOG.";
  },
  "unknown-position": ({ reason }) => {
    if (reason.startsWith(primaryUnknown)) return "See the warning TIDEMARK_POSITION_UNKNOWN of the primary.";
    if (reason.startsWith("NOPERM") || passing.test(reason))
      return "Allow INFO on this replica with the ACL rule +info.";
    return "Tidemark uses it once its INFO shows a position.";
  },
  "other-primary": (unusable) =>
    unusable.reason === isPrimaryItself
      ? `If it is the same server as ${unusable.primary}, remove it from the configuration, or configure the address of a replica.`
      : follow(unusable),
  "unknown-history": follow,
  syncing: () =>
    "Tidemark uses it once it has copied the primary's data. If the copy starts again and again, raise repl-backlog-size and the " +
    "replica's client-output-buffer-limit.",
  "link-down": () => "Check the replica's log, its network, and its password for the primary.",
  behind: () => "Check its load and its network, or raise maxStalenessMs.",
  skewed: () => "Synchronize the clocks of the servers, or raise maxClockSkewMs.",
};

/** Warns of a replica that stays unusable. Returns whether there was a warning for its state. */
export function warnOfUnusable(unusable: Unusable): boolean {
  const { address, state, reason, isLast } = unusable;
  const remedy = remedies[state]?.(unusable);
  if (remedy === undefined) return false;
  const consequence = isLast ? " No replica is usable, so the primary answers every read." : "";
  const cause = reason.replace(/\.$/, "");
  process.emitWarning(`Replica ${address} answers no reads: ${cause}.${consequence} ${remedy}`, {
    type,
    code: "TIDEMARK_REPLICA_UNUSABLE",
    detail: 'See "When a replica is not used" in docs/topologies.md.',
  });
  return true;
}

/** Reports that a replica is usable again after {@link warnOfUnusable}. */
export function warnOfRecovery(address: string): void {
  process.emitWarning(`Replica ${address} answers reads again.`, { type, code: "TIDEMARK_REPLICA_USABLE" });
}
