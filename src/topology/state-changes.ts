/** Compares the states of the servers from one check to the next. Publishes the changes, and reports outages. */
import { type TopologyMessage, topologyChannel } from "../diagnostics/channels.js";
import type { Node } from "../node/node.js";
import type { NamedBy } from "../shard/members.js";
import type { Shard } from "../shard/shard.js";
import type { PrimaryOutages } from "./primary-outages.js";
import { ReplicaOutages } from "./replica-outages.js";
import { type NodeStatus, statusOf } from "./status.js";

const checkEveryMs = 500;
/** If a check comes later than this, the process itself was blocked, and it learned nothing meanwhile. */
const longestGapMs = 1_000;
/**
 * There is a warning if the server used as the primary is a replica for this long, unless Sentinels or cluster nodes name the
 * primary.
 */
const demotedMs = 5_000;
/** How often Tidemark asks a server that may not answer reads, even if there are no reads. */
const askEveryMs = 1_000;

type Seen = Pick<NodeStatus, "address" | "role" | "state" | "eligible" | "reason">;

const reasonsForPrimary: Readonly<Record<NamedBy, string>> = {
  options: "the options name it as the primary",
  itself: "it reports that it is a primary, and it has the data of the former primary",
  sentinels: "the Sentinels name it as the primary",
  cluster: "the nodes of the cluster name it as the primary",
};

export class StateChanges {
  readonly #tidemark: object;
  readonly #shards: () => readonly Shard[];
  readonly #replicas = new ReplicaOutages();
  readonly #primaries: PrimaryOutages;
  /** Since when each primary has been demoted, in the time of {@link StateChanges.#watchedMs}. */
  readonly #demotedSince = new WeakMap<Node, number>();
  #seen = new Map<Node, Seen>();
  #checkedAt = performance.now();
  /** For how long this process has watched, in milliseconds, without the time in which it was blocked. */
  #watchedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;

  constructor(tidemark: object, shards: () => readonly Shard[], primaries: PrimaryOutages) {
    this.#tidemark = tidemark;
    this.#shards = shards;
    this.#primaries = primaries;
  }

  /** Starts a check twice a second and after each call of {@link notice}. */
  open(): void {
    this.#timer ??= setInterval(() => this.#check(), checkEveryMs).unref();
    this.notice();
  }

  /** Starts a check when this turn of the event loop is over, because something may have changed. */
  notice(): void {
    if (this.#timer === undefined || this.#soon !== undefined) return;
    this.#soon = setImmediate(() => {
      this.#soon = undefined;
      this.#check();
    }).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
  }

  #check(): void {
    const now = performance.now();
    this.#watchedMs += Math.min(now - this.#checkedAt, longestGapMs);
    this.#checkedAt = now;
    const before = this.#seen;
    this.#seen = new Map();
    for (const shard of this.#shards()) this.#checkShard(shard, before, now);
    for (const [node, seen] of before)
      if (!this.#seen.has(node)) this.#publish("left", { ...seen, eligible: false, reason: undefined });
    this.#replicas.prune(this.#watchedMs);
  }

  #checkShard(shard: Shard, before: ReadonlyMap<Node, Seen>, now: number): void {
    const { nodes } = shard;
    const statuses = statusOf(shard);
    this.#replicas.observe(shard, this.#watchedMs);
    const isCovered = statuses.some(({ role, eligible }) => role === "replica" && eligible);
    for (const [index, status] of statuses.entries()) {
      const node = nodes[index];
      if (node === undefined) continue;
      this.#seen.set(node, status);
      const change = changeOf(before.get(node), status);
      if (change !== undefined)
        this.#publish(change, status, change === "role" ? causeOf(shard, node) : undefined);
      if (status.role === "primary") {
        this.#checkPrimary(shard, status, now);
        continue;
      }
      this.#replicas.check(shard, { ...status, isCovered }, this.#watchedMs);
      if (!status.eligible) ask(shard, node, now);
    }
  }

  #checkPrimary(shard: Shard, { state, address, reason = state }: NodeStatus, now: number): void {
    const { primary, options } = shard;
    if (state === "serving") this.#primaries.serves(address);
    if (state !== "demoted" || options.hasArbiter) {
      this.#demotedSince.delete(primary);
      return;
    }
    shard.monitor.probePrimary(now, now - primary.probedAt >= askEveryMs);
    const since = this.#demotedSince.get(primary) ?? this.#watchedMs;
    this.#demotedSince.set(primary, since);
    if (this.#watchedMs - since >= demotedMs) this.#primaries.demoted(address, reason);
  }

  #publish(
    change: TopologyMessage["change"],
    { address, role, state, eligible, reason }: Seen,
    cause?: string,
  ): void {
    if (!topologyChannel.hasSubscribers) return;
    topologyChannel.publish({
      tidemark: this.#tidemark,
      change,
      node: address,
      role,
      state,
      eligible,
      reason,
      cause,
    });
  }
}

/**
 * Asks a server that may not answer reads. Otherwise a process without reads would not notice that the server can be used again.
 */
function ask(shard: Shard, node: Node, now: number): void {
  if (!node.connection.ready) return;
  // If the primary has no position, there is nothing to compare the position of a replica with, so INFO is not tried again. Reads
  // may ask a replica all the time, but not by INFO.
  const triesInfo = shard.primary.probe.kind === "position" && node.probe.askAgain(now - askEveryMs);
  if (!triesInfo && now - node.probedAt < askEveryMs) return;
  node.probeBefore();
  shard.monitor.probePrimary(now, now - shard.primary.probedAt >= askEveryMs);
}

function changeOf(before: Seen | undefined, now: Seen): TopologyMessage["change"] | undefined {
  if (before === undefined) return "joined";
  if (before.role !== now.role) return "role";
  return before.state === now.state ? undefined : "state";
}

/** Why the role of `node` has changed. */
function causeOf({ primary, primaryNamedBy }: Shard, node: Node): string {
  const reason = reasonsForPrimary[primaryNamedBy];
  return node === primary ? reason : `${primary.connection.address} is the primary now: ${reason}`;
}
