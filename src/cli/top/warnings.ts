/** What is wrong with the servers, in words. */
import { addressOf, type Endpoint } from "../../address.js";
import type { NodeState } from "../../diagnostics/channels.js";
import type { ServerRow } from "./snapshot.js";

/** A server, and what only the warnings need. */
export interface WatchedRow extends ServerRow {
  /** How many keys the server evicted since `top` began to watch it. */
  readonly evictedKeys: number;
  readonly acceptsWrites: boolean;
  /** The share of `maxmemory` that is in use. Undefined without a `maxmemory`. */
  readonly memoryShare: number | undefined;
}

export interface WatchedGroup {
  /** How a warning names the group. Undefined if there is only one. */
  readonly title: string | undefined;
  readonly primary: string | undefined;
  readonly servers: readonly WatchedRow[];
  /** Whether the servers are known to belong together. */
  readonly isKnown: boolean;
}

export interface SentinelView {
  readonly answering: number;
  readonly known: number;
  /** The primary that most of them name. */
  readonly named: Endpoint | undefined;
}

const nearlyFull = 0.95;

/** What each state means for reads. The states that are missing here are no trouble. */
const effects: Partial<Record<NodeState, string>> = {
  silent: "is silent",
  unauthorized: "refuses the login",
  refusing: "refuses questions",
  loading: "answers no reads yet",
  syncing: "answers no reads yet",
  "link-down": "answers no reads",
  behind: "answers no reads",
  "unknown-history": "answers no reads",
  "unknown-position": "answers no reads",
};

/** The warnings of all groups, the gravest first. */
export function warningsOf(groups: readonly WatchedGroup[], sentinels: SentinelView | undefined): string[] {
  const all = groups.flatMap((group) => [
    ...primaryWarnings(group),
    ...group.servers.flatMap(serverWarnings),
  ]);
  return [...(sentinels === undefined ? [] : sentinelWarnings(sentinels, groups)), ...all];
}

function primaryWarnings({ title, primary, servers, isKnown }: WatchedGroup): string[] {
  const where = title === undefined ? "" : `${title}: `;
  const primaries = servers.filter(({ role, state }) => role === "primary" && state !== "silent");
  const replicas = servers.filter(({ role }) => role === "replica");
  if (!isKnown) return [];
  if (primary === undefined)
    return [`${where}no server reports to be the primary. Writes fail until one does`];
  if (primaries.length > 1)
    return [
      `${where}there are ${primaries.length} primaries: ${primaries.map(({ address }) => address).join(", ")}. ` +
        "Writes to one of them never reach the replicas of the others",
    ];
  return replicas.length === 0 ? [`${where}${primary} has no replica, so it answers every read`] : [];
}

function serverWarnings(row: WatchedRow): string[] {
  const { address, role, state, reason, evictedKeys, acceptsWrites, memoryShare } = row;
  const warnings: string[] = [];
  const effect = effects[state];
  if (effect !== undefined) warnings.push(`${address} ${effect}: ${reason ?? state}`);
  if (role === "replica" && evictedKeys > 0)
    warnings.push(
      `${address} is a replica and evicts keys by itself (${evictedKeys} so far), so reads miss keys that the primary has`,
    );
  if (role === "replica" && acceptsWrites)
    warnings.push(`${address} is a replica and accepts writes, so its data may differ from the primary's`);
  if (memoryShare !== undefined && memoryShare >= nearlyFull)
    warnings.push(`${address} uses ${Math.round(memoryShare * 100)} % of its maxmemory`);
  return warnings;
}

function sentinelWarnings(
  { answering, known, named }: SentinelView,
  groups: readonly WatchedGroup[],
): string[] {
  const warnings: string[] = [];
  if (answering <= known / 2)
    warnings.push(`only ${answering} of ${known} Sentinels answer, so no failover is possible`);
  const at = named && addressOf(named);
  const row = groups.flatMap(({ servers }) => servers).find(({ address }) => address === at);
  if (at !== undefined && row?.role === "replica")
    warnings.push(`the Sentinels name ${at} as the primary, but it reports to be a replica`);
  return warnings;
}
