/** Sorts the servers of a deployment into groups, each a primary with its replicas. */
import { addressOf, type Endpoint, endpointOf } from "../../address.js";
import { converted, valueIn } from "../inspection/answer.js";
import type { Deployment } from "../inspection/deployment.js";
import { parseFlatList } from "../inspection/info.js";
import type { InspectedServer } from "../inspection/server.js";

/** A primary with the servers that belong to it, itself included. */
export interface PrimaryWithServers {
  /** How the group is called. Undefined if there is only one. */
  readonly title: string | undefined;
  /** The server that a Tidemark would send writes to. Undefined if no server reports to be the primary. */
  readonly primary: InspectedServer | undefined;
  readonly servers: readonly InspectedServer[];
  /** Whether the servers are known to belong together. */
  readonly isKnown: boolean;
}

/** What a server last reported about its history, for the time in which it does not answer. */
export interface LastReport {
  readonly role: "primary" | "replica" | undefined;
  readonly replid: string | undefined;
}

/** One group for each shard of a cluster, and else a single one. */
export function groupsOf(
  deployment: Deployment,
  lastReportOf: (server: InspectedServer) => LastReport,
): readonly PrimaryWithServers[] {
  const { target, servers } = deployment;
  if (target.kind !== "cluster")
    return [{ title: undefined, primary: primaryOf(deployment), servers, isKnown: true }];
  const shards = shardsIn(deployment);
  const shardOf = (server: InspectedServer) => shards.find(({ nodes }) => nodes.has(server));
  const left = new Set(servers);
  const groups = deployment.primaries.map((primary) => {
    const ids = historiesOf(primary);
    const silent = [...left].filter((server) => {
      const { replid } = lastReportOf(server);
      const wasHere = replid !== undefined && ids.has(replid);
      return server.role === undefined && (wasHere || shardOf(server)?.owner === primary);
    });
    const members = [primary, ...deployment.replicasOf(primary), ...silent].filter((one) => left.delete(one));
    return { primary, servers: members, shard: shards.find(({ owner }) => owner === primary) };
  });
  const titled = groups
    .toSorted((one, other) => firstSlot(one.shard) - firstSlot(other.shard))
    .map(({ shard, ...group }) => ({
      ...group,
      title: `shard of ${group.primary.address}, ${slotsText(shard)}`,
      isKnown: true,
    }));
  return [...titled, ...orphans(left, (server) => shardOf(server) ?? lastReportOf(server).replid)];
}

/** The servers whose shard has no primary, or whose shard nobody knows. */
function orphans(
  servers: Iterable<InspectedServer>,
  shardOf: (server: InspectedServer) => Shard | string | undefined,
): readonly PrimaryWithServers[] {
  const groups = new Map<Shard | string | undefined, InspectedServer[]>();
  for (const server of servers) {
    const shard = shardOf(server);
    groups.set(shard, [...(groups.get(shard) ?? []), server]);
  }
  return [...groups].map(([shard, members]) => {
    const slots = typeof shard === "object" ? `, ${slotsText(shard)}` : "";
    const title = shard === undefined ? "servers that have not answered" : `shard without a primary${slots}`;
    return { title, primary: undefined, servers: members, isKnown: shard !== undefined };
  });
}

/** The server that the Sentinels name, or the first one that reports to be the primary. */
function primaryOf(deployment: Deployment): InspectedServer | undefined {
  const [first] = deployment.primaries;
  const named = primaryNamedBySentinels(deployment);
  return deployment.primaries.find((server) => named !== undefined && server.isAt(addressOf(named))) ?? first;
}

/** The primary that most Sentinels name. */
export function primaryNamedBySentinels({ sentinels }: Deployment): Endpoint | undefined {
  const votes = new Map<string, { at: Endpoint; count: number }>();
  for (const sentinel of sentinels) {
    const fields = valueIn(converted(sentinel.answer("sentinelPrimary"), parseFlatList));
    const at = endpointOf(fields?.get("ip"), fields?.get("port"));
    if (at === undefined) continue;
    const vote = votes.get(addressOf(at)) ?? { at, count: 0 };
    vote.count += 1;
    votes.set(addressOf(at), vote);
  }
  return [...votes.values()].toSorted((a, b) => b.count - a.count)[0]?.at;
}

/** The histories that a silent member of the group may have reported last: the present one, and the one before a failover. */
function historiesOf(primary: InspectedServer): ReadonlySet<string> {
  const info = valueIn(primary.info);
  return new Set([info?.get("master_replid"), info?.get("master_replid2")].flatMap((id) => id ?? []));
}

/** A shard, as a node of the cluster reports it. */
interface Shard {
  readonly owner: InspectedServer;
  readonly nodes: Set<InspectedServer>;
  readonly slots: { readonly from: number; readonly to: number }[];
}

function shardsIn({ servers }: Deployment): readonly Shard[] {
  const shards = new Map<InspectedServer, Shard>();
  const reply = servers.map((server) => valueIn(server.answer("clusterSlots"))).find(Array.isArray) ?? [];
  for (const range of reply) {
    if (!Array.isArray(range)) continue;
    const [from, to, ...addresses] = range;
    const nodes = addresses.flatMap((node: unknown) => {
      const at = Array.isArray(node) ? endpointOf(node[0], node[1]) : undefined;
      return servers.find((server) => at !== undefined && server.isAt(addressOf(at))) ?? [];
    });
    const [owner] = nodes;
    if (owner === undefined) continue;
    const shard = shards.get(owner) ?? { owner, nodes: new Set(), slots: [] };
    shard.slots.push({ from: Number(from), to: Number(to) });
    for (const node of nodes) shard.nodes.add(node);
    shards.set(owner, shard);
  }
  return [...shards.values()];
}

function slotsText(shard: Shard | undefined): string {
  if (shard === undefined) return "without slots";
  return `slots ${shard.slots.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(",")}`;
}

function firstSlot(shard: Shard | undefined): number {
  return Math.min(...(shard?.slots ?? []).map(({ from }) => from));
}
