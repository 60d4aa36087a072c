/** Checks of a Redis Cluster: its slots, its shards, and whether the nodes agree. */
import { converted, valueIn } from "../../inspection/answer.js";
import type { Deployment } from "../../inspection/deployment.js";
import { numberIn, parseInfo } from "../../inspection/info.js";
import type { InspectedServer } from "../../inspection/server.js";
import type { Check } from "../check.js";
import { clusterLine, doctorLine } from "../lines.js";
import { countText } from "../quantities.js";
import { redisCli } from "../redis-cli.js";
import { openServers, Subject } from "../subject.js";

const allSlots = 16_384;

/** A line of CLUSTER NODES. */
interface ListedNode {
  readonly id: string;
  readonly address: string;
  readonly flags: readonly string[];
  readonly primaryId: string | undefined;
  /** The slots as they are written: `0-5460`. */
  readonly slots: readonly string[];
  /** The slots that are being moved to or from this node: `[12->-…]`. */
  readonly moving: readonly string[];
}

function parseNodes(reply: unknown): readonly ListedNode[] | undefined {
  if (typeof reply !== "string") return undefined;
  return reply
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [id = "", place = "", flags = "", primary = "-", , , , , ...slots] = line.trim().split(" ");
      return {
        id,
        address: place.replace(/[@,].*$/, ""),
        flags: flags.split(","),
        primaryId: primary === "-" ? undefined : primary,
        slots: slots.filter((slot) => !slot.startsWith("[")),
        moving: slots.filter((slot) => slot.startsWith("[")),
      };
    });
}

/** Whether the node that made the list cannot reach this one. */
function isLost({ flags }: ListedNode): boolean {
  return flags.some((flag) => /^(fail\??|noaddr)$/.test(flag));
}

function nodesOf(deployment: Deployment): readonly InspectedServer[] {
  return openServers(deployment).filter(isNode);
}

function isNode(server: InspectedServer): boolean {
  return valueIn(server.info)?.get("cluster_enabled") === "1";
}

/** The first list of nodes that a server gave. */
function listIn(deployment: Deployment): readonly ListedNode[] | undefined {
  return nodesOf(deployment)
    .map((server) => valueIn(converted(server.answer("clusterNodes"), parseNodes)))
    .find((list) => list !== undefined);
}

const mode: Check = {
  id: "cluster-mode",
  group: "Cluster",
  title: "nodes of a cluster, given as such",
  examine(deployment) {
    const isCluster = deployment.target.kind === "cluster";
    return openServers(deployment).flatMap((server) => {
      const subject = new Subject(this, server);
      const enabled = valueIn(server.info)?.get("cluster_enabled");
      if (enabled === "1" && !isCluster)
        return [
          subject.fail("it is a node of a cluster, but was not given as one", {
            why: "Without the map of the cluster, a node refuses the keys of other shards, and a replica refuses all (MOVED). Give it in your app as cluster: [ … ], and here with --cluster.",
            fix: doctorLine([server], "--cluster"),
          }),
        ];
      if (enabled === "0" && isCluster)
        return [
          subject.fail("it is no node of a cluster (cluster-enabled no)", {
            why: "It does not say where the other nodes are. Give it in your app as primary, and here without --cluster.",
            fix: doctorLine([server]),
          }),
        ];
      return [];
    });
  },
};

const state: Check = {
  id: "cluster-state",
  group: "Cluster",
  title: "state of the cluster",
  examine(deployment) {
    return nodesOf(deployment).map((server) => {
      const subject = new Subject(this, server);
      const answer = converted(server.answer("clusterInfo"), parseInfo);
      return subject.judge(answer, "CLUSTER INFO", (info) => {
        if (info.get("cluster_state") !== "ok")
          return subject.fail(`cluster_state is ${info.get("cluster_state")}`, {
            why: "The node refuses commands (CLUSTERDOWN). Slots without a primary, or too few reachable primaries, are the usual cause.",
            fix: clusterLine(server, "check"),
          });
        const list = valueIn(converted(server.answer("clusterNodes"), parseNodes)) ?? [];
        const dead = list.filter(isLost);
        if (dead.length > 0)
          return subject.warn(
            `it lists nodes that it cannot reach: ${dead.map(({ address }) => address).join(", ")}`,
            {
              why: "Bring them back. If they are gone for good, remove them from the list of every node.",
              fix: redisCli(server, `CLUSTER FORGET ${dead[0]?.id}`),
            },
          );
        return subject.pass(`ok, ${countText(list.length, "node")}`);
      });
    });
  },
};

const slots: Check = {
  id: "cluster-slots",
  group: "Cluster",
  title: "slots have owners",
  examine(deployment) {
    return nodesOf(deployment)
      .slice(0, 1)
      .map((server) => {
        const subject = new Subject(this);
        const answer = converted(server.answer("clusterInfo"), parseInfo);
        return subject.judge(answer, "CLUSTER INFO", (info) => {
          const assigned = numberIn(info, "cluster_slots_assigned") ?? 0;
          const failed =
            (numberIn(info, "cluster_slots_fail") ?? 0) + (numberIn(info, "cluster_slots_pfail") ?? 0);
          if (assigned < allSlots)
            return subject.fail(`without a node: ${allSlots - assigned} of ${allSlots} slots`, {
              why: "Commands on keys of these slots fail. Unless cluster-require-full-coverage is no, all other commands fail too.",
              fix: clusterLine(server, "fix"),
            });
          if (failed > 0)
            return subject.fail(`${failed} of ${allSlots} slots are those of nodes that have failed`, {
              why: "Commands on keys of these slots fail until the node is back or a replica is promoted.",
              fix: clusterLine(server, "check"),
            });
          return subject.pass(`all ${allSlots} slots have an owner`);
        });
      });
  },
};

const coverage: Check = {
  id: "cluster-replicas",
  group: "Cluster",
  title: "replicas of each shard",
  examine(deployment) {
    const list = listIn(deployment);
    if (list === undefined) return [];
    const owners = list.filter(({ flags, slots: own }) => flags.includes("master") && own.length > 0);
    return owners.map((owner) => {
      const server = deployment.servers.find((one) => one.isAt(owner.address));
      const subject = new Subject(this, server);
      const followers = list.filter((node) => node.primaryId === owner.id && !isLost(node)).length;
      const where = server === undefined ? `the shard of ${owner.address}` : "its shard";
      if (followers > 0) return subject.pass(`${where} has ${countText(followers, "replica")}`);
      return subject.warn(`${where} has no replica`, {
        why: "Its primary answers every read, and nobody replaces it when it fails. Add a node.",
        fix: `redis-cli --cluster add-node <new host:port> ${owner.address} --cluster-slave --cluster-master-id ${owner.id}`,
      });
    });
  },
};

const moves: Check = {
  id: "cluster-migrations",
  group: "Cluster",
  title: "slots that are being moved",
  examine(deployment) {
    const nodes = nodesOf(deployment);
    const moving = nodes.flatMap((server) => {
      const own = valueIn(converted(server.answer("clusterNodes"), parseNodes))?.find(({ flags }) =>
        flags.includes("myself"),
      );
      return (own?.moving ?? []).map((slot) => ({
        server,
        slot: /\d+/.exec(slot)?.[0] ?? "",
        isLeaving: slot.includes("->-"),
      }));
    });
    if (nodes.length === 0) return [];
    if (moving.length === 0) return [new Subject(this).pass("no slot is being moved")];
    return moving.map(({ server, slot, isLeaving }) =>
      new Subject(this, server).warn(
        `slot ${slot} is being moved ${isLeaving ? "away from" : "to"} this node`,
        {
          why: "While a slot moves, the primary confirms each missing key. If nobody moves slots now, a move was broken off: finish it.",
          fix: clusterLine(server, "fix"),
        },
      ),
    );
  },
};

const agreement: Check = {
  id: "cluster-agreement",
  group: "Cluster",
  title: "the nodes agree about the slots",
  examine(deployment) {
    const views = nodesOf(deployment).flatMap((server) => {
      const list = valueIn(converted(server.answer("clusterNodes"), parseNodes));
      return list === undefined ? [] : [{ server, list }];
    });
    const [first] = views;
    if (first === undefined) return [];
    const subject = new Subject(this);
    const ownersIn = (list: readonly ListedNode[]): string =>
      list
        .filter((node) => node.slots.length > 0)
        .map((node) => `${node.id} ${node.slots.join(" ")}`)
        .sort()
        .join("\n");
    const opinions = new Set(views.map(({ list }) => ownersIn(list)));
    if (opinions.size > 1)
      return [
        subject.fail("the nodes disagree about which node owns which slot", {
          why: "Keys are found on one node and not on the other. During a failover or a move this ends by itself.",
          fix: clusterLine(first.server, "check"),
        }),
      ];
    return [subject.pass(`${countText(views.length, "node")} agree`)];
  },
};

const epochs: Check = {
  id: "cluster-epochs",
  group: "Cluster",
  title: "the nodes are at the same epoch",
  examine(deployment) {
    const known = nodesOf(deployment).flatMap((server) => {
      const info = valueIn(converted(server.answer("clusterInfo"), parseInfo));
      const epoch = info && numberIn(info, "cluster_current_epoch");
      return epoch === undefined ? [] : [{ server, epoch }];
    });
    if (known.length === 0) return [];
    const newest = Math.max(...known.map(({ epoch }) => epoch));
    const old = known.filter(({ epoch }) => epoch < newest);
    if (old.length === 0) return [new Subject(this).pass(`all are at epoch ${newest}`)];
    return old.map(({ server, epoch }) =>
      new Subject(this, server).warn(`it is at epoch ${epoch}, and another node is at epoch ${newest}`, {
        why: "It has not heard of the latest change. If this lasts longer than a failover, one of the two is cut off from the cluster bus.",
        fix: clusterLine(server, "check"),
      }),
    );
  },
};

const settings: Check = {
  id: "cluster-settings",
  group: "Cluster",
  title: "settings of the nodes",
  examine(deployment) {
    return nodesOf(deployment).flatMap((server) => {
      const subject = new Subject(this, server);
      const failover = server.config("cluster-replica-no-failover");
      if (failover.kind !== "value") return [subject.unanswered(failover, "cluster-replica-no-failover")];
      const findings = [];
      if (failover.value === "yes")
        findings.push(
          subject.warn("cluster-replica-no-failover is yes", {
            why: "As a replica, this node never replaces its primary.",
            fix: subject.setting("cluster-replica-no-failover", "no"),
          }),
        );
      if (valueIn(server.config("cluster-allow-reads-when-down")) === "yes")
        findings.push(
          subject.warn("cluster-allow-reads-when-down is yes", {
            why: "A node that is cut off from the cluster goes on answering reads, also as a former primary.",
            fix: subject.setting("cluster-allow-reads-when-down", "no"),
          }),
        );
      return findings.length > 0 ? findings : [subject.pass("replicas may be promoted")];
    });
  },
};

export const clusterChecks: readonly Check[] = [
  mode,
  state,
  slots,
  coverage,
  moves,
  agreement,
  epochs,
  settings,
];
