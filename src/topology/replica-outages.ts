/** Decides when, and how often, operators are warned of a replica that no read can use. */
import type { NodeState } from "../diagnostics/channels.js";
import type { Node } from "../node/node.js";
import { warnOfRecovery, warnOfUnusable } from "../node/server-warnings.js";
import type { Shard } from "../shard/shard.js";
import type { NodeStatus } from "./status.js";

/** The present state of a replica. */
export interface ReplicaCondition extends Pick<NodeStatus, "address" | "state" | "reason"> {
  /** Whether any replica of its shard may answer reads. */
  readonly isCovered: boolean;
}

/** An unusable state that ends within this time is no outage. */
const graceMs = 5_000;
/** A state in which a replica loads or copies data is no outage if it ends within this time. */
const transferGraceMs = 30_000;
/**
 * How long replicas have to follow their primary after it was gone or replaced. Sentinel makes an old primary a replica after ten
 * seconds.
 */
const settleMs = 15_000;
const maxWarnings = 5;
const warningsPerMs = 3_600_000;

/** Records about a replica that cannot be used. */
interface Outage {
  /**
   * By state: when the replica first was in this state since it was last usable. All times are in milliseconds that the process has
   * watched.
   */
  readonly since: Map<NodeState, number>;
  /** The states that a warning was given for since the replica was last usable. */
  readonly warned: Set<NodeState>;
  /** When warnings were given. */
  warnedAt: number[];
  checkedAt: number;
}

export class ReplicaOutages {
  /** By address, because a server may leave and come back. */
  readonly #outages = new Map<string, Outage>();
  /** By shard: its primary at the last check, and until when its replicas have time to follow that primary. */
  readonly #primaries = new WeakMap<Shard, { readonly primary: Node; readonly settledAt: number }>();

  /** Records the primary of a shard. Call it before {@link check} is called for the replicas of the shard. */
  observe(shard: Shard, now: number): void {
    const { primary, isPrimaryReady, history } = shard;
    const known = this.#primaries.get(shard);
    const isReplaced = known !== undefined && known.primary !== primary;
    // At the start no primary is known yet, so none is lost.
    const isLost = !isPrimaryReady && history.replid !== undefined;
    const settledAt = isReplaced || isLost ? now + settleMs : (known?.settledAt ?? now);
    if (known?.primary !== primary || known.settledAt !== settledAt)
      this.#primaries.set(shard, { primary, settledAt });
  }

  /** Records the state of a replica, and warns if it has been unusable for too long. */
  check(shard: Shard, { address, state, reason, isCovered }: ReplicaCondition, now: number): void {
    const outage = this.#outageOf(address, now);
    if (state === "serving" || state === "unproven" || state === "excluded") {
      if (outage.warned.size > 0) warnOfRecovery(address);
      outage.since.clear();
      outage.warned.clear();
      return;
    }
    const since = sinceWhen(outage, state, now);
    outage.since.set(state, since);
    const settledAt = this.#primaries.get(shard)?.settledAt ?? now;
    const isDue = shard.isPrimaryReady && now >= Math.max(since + graceOf(state), settledAt);
    if (!isDue || outage.warned.has(state) || outage.warnedAt.length >= maxWarnings) return;
    const { primaryAddress, options } = shard;
    const isAnnounced = options.hasArbiter || options.discovers;
    const unusable = { address, state, reason: reason ?? state, primary: primaryAddress };
    if (!warnOfUnusable({ ...unusable, isAnnounced, isLast: !isCovered })) return;
    outage.warned.add(state);
    outage.warnedAt.push(now);
  }

  /** Forgets the servers that have been gone for long. */
  prune(now: number): void {
    for (const [address, { checkedAt }] of this.#outages)
      if (now - checkedAt > warningsPerMs) this.#outages.delete(address);
  }

  #outageOf(address: string, now: number): Outage {
    const known = this.#outages.get(address);
    if (known !== undefined) {
      known.checkedAt = now;
      known.warnedAt = known.warnedAt.filter((at) => now - at < warningsPerMs);
      return known;
    }
    const outage: Outage = { since: new Map(), warned: new Set(), warnedAt: [], checkedAt: now };
    this.#outages.set(address, outage);
    return outage;
  }
}

/** Since when a replica is in `state`. The time in "starting" counts as part of the state that comes first after it. */
function sinceWhen({ since }: Outage, state: NodeState, now: number): number {
  const isFirst = since.size === 1;
  return since.get(state) ?? (isFirst ? since.get("starting") : undefined) ?? now;
}

function graceOf(state: NodeState): number {
  return state === "loading" || state === "syncing" ? transferGraceMs : graceMs;
}
