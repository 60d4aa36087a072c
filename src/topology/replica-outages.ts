/** When operators are warned of a replica that no read can use, and how often. */
import type { NodeState } from "../diagnostics/channels.js";
import { warnOfRecovery, warnOfUnusable } from "../node/server-warnings.js";

/** How a replica stands now. */
export interface Standing {
  readonly address: string;
  readonly state: NodeState;
  readonly reason: string | undefined;
  /** Whether any replica of its shard may answer. */
  readonly isCovered: boolean;
}

/** What ends by itself within this time is no outage. */
const graceMs = 5_000;
/** The same while a replica loads or copies data. */
const transferGraceMs = 30_000;
/** Replicas need time after their primary was gone or was replaced: Sentinel converts an old primary after ten seconds. */
const settleMs = 15_000;
const maxWarnings = 5;
const warningsPerMs = 3_600_000;

/** A shard, as far as it excuses its replicas. */
interface Scene {
  readonly primary: { readonly connection: { readonly address: string } };
  readonly hasPrimary: boolean;
  readonly history: { readonly replid: string | undefined };
  readonly options: { readonly hasArbiter: boolean; readonly discovers: boolean };
}

/** A replica that cannot be used, as far as it is known. */
interface Outage {
  /** When it was first in each state since it was usable, on the monotonic clock. */
  readonly since: Map<NodeState, number>;
  /** The states that were warned of since it was usable. */
  readonly warned: Set<NodeState>;
  /** When warnings were given. */
  warnedAt: number[];
  lookedAt: number;
}

export class ReplicaOutages {
  /** By address: a server may leave and come back. */
  readonly #outages = new Map<string, Outage>();
  /** The primary that each shard had, and until when its replicas are given time to follow it. */
  readonly #reigns = new WeakMap<Scene, { readonly primary: Scene["primary"]; readonly settledAt: number }>();

  /** Takes in who the primary of a shard is; to be called before the shard's replicas are looked at. */
  observe(shard: Scene, now: number): void {
    const { primary, hasPrimary, history } = shard;
    const known = this.#reigns.get(shard);
    const isReplaced = known !== undefined && known.primary !== primary;
    // At the start there is no primary yet.
    const isLost = !hasPrimary && history.replid !== undefined;
    const settledAt = isReplaced || isLost ? now + settleMs : (known?.settledAt ?? now);
    if (known?.primary !== primary || known.settledAt !== settledAt)
      this.#reigns.set(shard, { primary, settledAt });
  }

  /** Takes in how a replica stands, and warns if it has been unusable for too long. */
  look(shard: Scene, { address, state, reason, isCovered }: Standing, now: number): void {
    const outage = this.#outageOf(address, now);
    if (state === "serving" || state === "unproven" || state === "excluded") {
      if (outage.warned.size > 0) warnOfRecovery(address);
      outage.since.clear();
      outage.warned.clear();
      return;
    }
    const since = sinceWhen(outage, state, now);
    outage.since.set(state, since);
    const settledAt = this.#reigns.get(shard)?.settledAt ?? now;
    const isDue = shard.hasPrimary && now >= Math.max(since + graceOf(state), settledAt);
    if (!isDue || outage.warned.has(state) || outage.warnedAt.length >= maxWarnings) return;
    const { primary, options } = shard;
    const isAnnounced = options.hasArbiter || options.discovers;
    const unusable = { address, state, reason: reason ?? state, primary: primary.connection.address };
    if (!warnOfUnusable({ ...unusable, isAnnounced, isLast: !isCovered })) return;
    outage.warned.add(state);
    outage.warnedAt.push(now);
  }

  /** Forgets the servers that were gone for long. */
  prune(now: number): void {
    for (const [address, { lookedAt }] of this.#outages)
      if (now - lookedAt > warningsPerMs) this.#outages.delete(address);
  }

  #outageOf(address: string, now: number): Outage {
    const known = this.#outages.get(address);
    if (known !== undefined) {
      known.lookedAt = now;
      known.warnedAt = known.warnedAt.filter((at) => now - at < warningsPerMs);
      return known;
    }
    const outage: Outage = { since: new Map(), warned: new Set(), warnedAt: [], lookedAt: now };
    this.#outages.set(address, outage);
    return outage;
  }
}

/** Since when a replica is in `state`. Of one that is not known yet, the first state that shows has lasted all the time. */
function sinceWhen({ since }: Outage, state: NodeState, now: number): number {
  const isFirst = since.size === 1;
  return since.get(state) ?? (isFirst ? since.get("starting") : undefined) ?? now;
}

function graceOf(state: NodeState): number {
  return state === "loading" || state === "syncing" ? transferGraceMs : graceMs;
}
