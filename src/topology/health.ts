/** Compares how the servers stand from one look to the next: publishes what has changed, and has outages warned of. */
import { type TopologyMessage, topologyChannel } from "../diagnostics/channels.js";
import type { Node } from "../node/node.js";
import type { Shard } from "../shard/shard.js";
import type { PrimaryOutages } from "./primary-outages.js";
import { ReplicaOutages } from "./replica-outages.js";
import { type NodeStatus, statusOf } from "./status.js";

const lookEveryMs = 500;
/** A look that comes later than this was held up by the process itself, which learnt nothing meanwhile. */
const longestGapMs = 1_000;
/** A primary that is none for so long is warned of, unless others say which server is the primary. */
const demotedMs = 5_000;
/** How often a server is asked that may not answer reads, although nobody reads. */
const askEveryMs = 1_000;

type Seen = Pick<NodeStatus, "address" | "role" | "state" | "eligible" | "reason">;

export class Health {
  readonly #shards: () => readonly Shard[];
  readonly #outages = new ReplicaOutages();
  readonly #primaries: PrimaryOutages;
  /** Since when each primary is none, by {@link Health.#watchedMs}. */
  readonly #demotedSince = new WeakMap<Node, number>();
  #seen = new Map<Node, Seen>();
  #lookedAt = performance.now();
  /** For how long this process has watched, in milliseconds: the time in which it was blocked is left out. */
  #watchedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;

  constructor(shards: () => readonly Shard[], primaries: PrimaryOutages) {
    this.#shards = shards;
    this.#primaries = primaries;
  }

  /** Looks twice a second, and whenever it is told that something has changed. */
  open(): void {
    this.#timer ??= setInterval(() => this.#look(), lookEveryMs).unref();
    this.notice();
  }

  /** Looks once this turn of the event loop is over. */
  notice(): void {
    if (this.#timer === undefined || this.#soon !== undefined) return;
    this.#soon = setImmediate(() => {
      this.#soon = undefined;
      this.#look();
    }).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#soon);
    this.#timer = undefined;
    this.#soon = undefined;
  }

  #look(): void {
    const now = performance.now();
    this.#watchedMs += Math.min(now - this.#lookedAt, longestGapMs);
    this.#lookedAt = now;
    const before = this.#seen;
    this.#seen = new Map();
    for (const shard of this.#shards()) this.#lookAt(shard, before, now);
    for (const [node, seen] of before)
      if (!this.#seen.has(node)) publish("left", { ...seen, eligible: false, reason: undefined });
    this.#outages.prune(this.#watchedMs);
  }

  #lookAt(shard: Shard, before: ReadonlyMap<Node, Seen>, now: number): void {
    const { nodes } = shard;
    const statuses = statusOf(shard);
    this.#outages.observe(shard, this.#watchedMs);
    const isCovered = statuses.some(({ role, eligible }) => role === "replica" && eligible);
    for (const [index, status] of statuses.entries()) {
      const node = nodes[index];
      if (node === undefined) continue;
      this.#seen.set(node, status);
      const change = changeOf(before.get(node), status);
      if (change !== undefined) publish(change, status);
      if (status.role === "primary") {
        this.#lookAtPrimary(shard, status, now);
        continue;
      }
      this.#outages.look(shard, { ...status, isCovered }, this.#watchedMs);
      if (!status.eligible) ask(shard, node, now);
    }
  }

  #lookAtPrimary(shard: Shard, { state, address, reason = state }: NodeStatus, now: number): void {
    const { primary, options } = shard;
    if (state === "serving") this.#primaries.serves({ address });
    if (state !== "demoted" || options.hasArbiter) {
      this.#demotedSince.delete(primary);
      return;
    }
    shard.askPrimary(now, now - primary.probedAt >= askEveryMs);
    const since = this.#demotedSince.get(primary) ?? this.#watchedMs;
    this.#demotedSince.set(primary, since);
    if (this.#watchedMs - since >= demotedMs) this.#primaries.demoted({ address, fault: reason });
  }
}

/** A process that reads nothing asks nothing, so it would not notice that a server can be used again. */
function ask(shard: Shard, node: Node, now: number): void {
  if (!node.connection.ready || now - node.probedAt < askEveryMs) return;
  // Where the primary has no position either, that of a replica could be compared with nothing.
  if (shard.primary.proof.kind === "position") node.proof.askAgain();
  node.probeBefore();
  shard.askPrimary(now, now - shard.primary.probedAt >= askEveryMs);
}

function changeOf(before: Seen | undefined, now: Seen): TopologyMessage["change"] | undefined {
  if (before === undefined) return "joined";
  if (before.role !== now.role) return "role";
  return before.state === now.state ? undefined : "state";
}

function publish(change: TopologyMessage["change"], { address, role, state, eligible, reason }: Seen): void {
  if (!topologyChannel.hasSubscribers) return;
  const message: TopologyMessage = { change, node: address, role, state, eligible, reason };
  topologyChannel.publish(message);
}
