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
  if (target.kind !== "cluster") return [{ title: undefined, primary: primaryOf(deployment), servers }];
  const slots = slotsByPrimary(deployment);
  const left = new Set(servers);
  const groups = deployment.primaries.map((primary) => {
    const ids = historiesOf(primary);
    const silent = [...left].filter((server) => {
      const { replid } = lastReportOf(server);
      return server.role === undefined && replid !== undefined && ids.has(replid);
    });
    const members = [primary, ...deployment.replicasOf(primary), ...silent].filter((one) => left.delete(one));
    return { primary, servers: members, slots: slots.get(primary) };
  });
  const titled = groups
    .toSorted((a, b) => firstSlot(a.slots) - firstSlot(b.slots))
    .map(({ slots, ...group }) => ({ ...group, title: titleOf(group.primary, slots) }));
  const orphans = new Map<string | undefined, InspectedServer[]>();
  for (const server of left) {
    const { replid } = lastReportOf(server);
    orphans.set(replid, [...(orphans.get(replid) ?? []), server]);
  }
  return [
    ...titled,
    ...[...orphans].map(([replid, members]) => ({
      title: replid === undefined ? "servers that have not answered" : "shard without a primary",
      primary: undefined,
      servers: members,
    })),
  ];
}

function titleOf(primary: InspectedServer, slots: string | undefined): string {
  return `shard of ${primary.address}, ${slots === undefined ? "without slots" : `slots ${slots}`}`;
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

function slotsByPrimary({ servers }: Deployment): ReadonlyMap<InspectedServer, string> {
  const ranges = new Map<InspectedServer, string[]>();
  const reply = servers.map((server) => valueIn(server.answer("clusterSlots"))).find(Array.isArray) ?? [];
  for (const range of reply) {
    if (!Array.isArray(range) || !Array.isArray(range[2])) continue;
    const [from, to, [host, port]] = range;
    const at = endpointOf(host, port);
    const owner = servers.find((server) => at !== undefined && server.isAt(addressOf(at)));
    if (owner === undefined) continue;
    const text = from === to ? `${from}` : `${from}-${to}`;
    ranges.set(owner, [...(ranges.get(owner) ?? []), text]);
  }
  return new Map([...ranges].map(([owner, texts]) => [owner, texts.join(",")]));
}

function firstSlot(slots: string | undefined): number {
  return slots === undefined ? Number.POSITIVE_INFINITY : Number.parseInt(slots, 10);
}
