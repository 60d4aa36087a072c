/** Measures how far replicas are behind their primary, and how long they take to catch up. */
import { setTimeout as pause } from "node:timers/promises";
import { converted, valueIn } from "./answer.js";
import { Canary } from "./canary.js";
import { Chase, type Chased } from "./chase.js";
import type { Deployment } from "./deployment.js";
import { numberIn, parseInfo } from "./info.js";
import type { ActivityOfPrimary, CanaryOfPrimary, LagOfReplica } from "./measurements.js";
import { type PositionAt, positionOf } from "./position.js";
import type { InspectedServer } from "./server.js";

export interface LagSampling {
  readonly seconds: number;
  /** Whether the doctor may write one key on each primary. */
  readonly writesCanary?: boolean;
  /** Ends the sampling early. What was measured by then counts. */
  readonly signal?: AbortSignal;
  /** Called with the share of the time that has passed, from 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

const intervalMs = 250;
/** A primary without writes sends its replicas a PING every ten seconds. It has this many bytes. */
const pingBytes = 14;

/** Samples all primaries with their replicas at the same time, and fills `lag`, `activity` and `canaries`. */
export async function sampleLag(deployment: Deployment, sampling: LagSampling): Promise<void> {
  const groups = deployment.primaries.map(
    (primary) => new GroupSampler(primary, deployment.replicasOf(primary)),
  );
  const canaries = sampling.writesCanary
    ? await Promise.all(groups.map((group) => group.tryCanary()))
    : undefined;
  await Promise.all(groups.map((group) => group.sample(sampling)));
  await Promise.all(groups.map((group) => group.removeCanary()));
  deployment.lag = groups.flatMap(({ lag }) => lag);
  deployment.activity = groups.flatMap(({ activity }) => activity ?? []);
  if (canaries !== undefined) deployment.canaries = canaries;
}

interface SampledReplica {
  readonly server: InspectedServer;
  readonly chase: Chase;
  readonly bytes: number[];
  readonly ms: number[];
  unknown: number;
}

/** One primary with its replicas. */
class GroupSampler {
  readonly #primary: InspectedServer;
  readonly #replicas: readonly SampledReplica[];
  #canary: Canary | undefined;
  #latest: PositionAt | undefined;
  #bytes = 0;
  readonly #fastestMs: number[] = [];
  activity: ActivityOfPrimary | undefined;

  constructor(primary: InspectedServer, replicas: readonly InspectedServer[]) {
    this.#primary = primary;
    this.#replicas = replicas.map((server) => ({
      server,
      chase: new Chase(server),
      bytes: [],
      ms: [],
      unknown: 0,
    }));
  }

  get lag(): LagOfReplica[] {
    return this.#replicas.map(({ server, bytes, ms, unknown }) => ({
      primary: this.#primary.address,
      replica: server.address,
      ...{ bytes, ms, unknown },
    }));
  }

  /** Writes the canary once, and follows the write to each replica. */
  async tryCanary(): Promise<CanaryOfPrimary> {
    const canary = new Canary(this.#primary);
    const before = valueIn(await positionOf(this.#primary));
    const written = await canary.write();
    const moved = converted(written, ({ replication }) => {
      const isComparable = before !== undefined && before.replication.replid === replication.replid;
      return isComparable ? replication.offset - before.replication.offset : undefined;
    });
    const replicas = await Promise.all(
      this.#replicas.map(async ({ server, chase }) => {
        const chased = await reached(chase, valueIn(written), valueIn(await positionOf(server)));
        const value = await server.ask("GET", canary.key);
        return {
          replica: server.address,
          caughtUpMs: chased?.ms,
          hasValue: converted(value, (text) => text === canary.value),
        };
      }),
    );
    if (written.kind === "value") this.#canary = canary;
    else await canary.remove();
    return { primary: this.#primary.address, key: canary.key, moved, replicas };
  }

  async removeCanary(): Promise<void> {
    await this.#canary?.remove();
  }

  async sample({ seconds, signal, onProgress }: LagSampling): Promise<void> {
    const startedAt = performance.now();
    const endsAt = startedAt + seconds * 1_000;
    const before = await this.#resyncs();
    const open: Promise<void>[] = [];
    for (let tick = 0; !signal?.aborted; tick++) {
      await this.#tick(open);
      onProgress?.(Math.min((performance.now() - startedAt) / (seconds * 1_000), 1));
      const next = startedAt + (tick + 1) * intervalMs;
      if (next > endsAt) break;
      await pause(Math.max(next - performance.now(), 0), undefined, { signal }).catch(() => {});
    }
    const elapsed = (performance.now() - startedAt) / 1_000;
    const stop = (): void => {
      for (const { chase } of this.#replicas) chase.stop();
    };
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
    await Promise.all(open);
    signal?.removeEventListener("abort", stop);
    const after = await this.#resyncs();
    this.activity = {
      primary: this.#primary.address,
      seconds: elapsed,
      bytes: this.#bytes,
      fullResyncs: difference(before?.full, after?.full),
      refusedResyncs: difference(before?.refused, after?.refused),
      fastestMs: this.#fastestMs,
    };
  }

  /** Asks all servers once. `open` gets a promise that settles when the replicas have caught up with what the primary has now. */
  async #tick(open: Promise<void>[]): Promise<void> {
    const [primary, ...positions] = await Promise.all([
      this.#canary === undefined ? positionOf(this.#primary) : this.#canary.write(),
      ...this.#replicas.map(({ server }) => positionOf(server)),
    ]);
    const now = primary && valueIn(primary);
    const latest = this.#latest;
    this.#latest = now;
    if (now === undefined || latest === undefined || now.replication.replid !== latest.replication.replid)
      return;
    const written = now.replication.offset - latest.replication.offset;
    if (written <= pingBytes) return;
    this.#bytes += written;
    const chases = this.#replicas.map((replica, index) => {
      const position = positions[index];
      return reached(replica.chase, now, position && valueIn(position));
    });
    open.push(this.#record(chases));
  }

  async #record(chases: readonly Promise<Chased | undefined>[]): Promise<void> {
    const results = await Promise.all(chases);
    for (const [index, replica] of this.#replicas.entries()) {
      const chased = results[index];
      if (chased === undefined) replica.unknown++;
      else {
        replica.bytes.push(chased.bytes);
        replica.ms.push(chased.ms);
      }
    }
    const times = results.flatMap((chased) => chased?.ms ?? []);
    if (times.length > 0) this.#fastestMs.push(Math.min(...times));
  }

  async #resyncs(): Promise<{ full: number | undefined; refused: number | undefined } | undefined> {
    const fields = parseInfo(valueIn(await this.#primary.ask("INFO", "stats")));
    return fields && { full: numberIn(fields, "sync_full"), refused: numberIn(fields, "sync_partial_err") };
  }
}

function reached(
  chase: Chase,
  goal: PositionAt | undefined,
  now: PositionAt | undefined,
): Promise<Chased | undefined> {
  if (goal === undefined) return Promise.resolve(undefined);
  const { replid, offset } = goal.replication;
  return chase.reach({ replid, offset, at: goal.at }, now);
}

function difference(before: number | undefined, after: number | undefined): number | undefined {
  return before === undefined || after === undefined ? undefined : after - before;
}
