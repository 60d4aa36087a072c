/** Asks all servers of a deployment once a tick. */
import { setTimeout as pause } from "node:timers/promises";
import { valueIn } from "../inspection/answer.js";
import type { Deployment } from "../inspection/deployment.js";
import type { InspectedServer } from "../inspection/server.js";
import { groupsOf, primaryNamedBySentinels } from "./groups.js";
import type { Snapshot } from "./snapshot.js";
import { type SentinelView, type WatchedGroup, warningsOf } from "./warnings.js";
import { WatchedServer } from "./watched-server.js";

const shares = {
  /** Servers that have not answered after this share of the interval are shown as they were. */
  ofAnswers: 0.5,
  /** Replicas that have not caught up after this share of the interval are shown as behind. */
  ofDrawing: 0.25,
  /** The questions of a tick end before the next one begins. */
  ofChasing: 0.9,
} as const;

/** The answers are needed this soon, even with a long interval. */
const mostMs = 1_000;
/** How often the nodes of a cluster are asked for the slots. */
const slotsMs = 10_000;

export class Watch {
  readonly #deployment: Deployment;
  readonly #intervalMs: number;
  readonly #watched = new Map<InspectedServer, WatchedServer>();
  #slotsAt = performance.now();
  #isFollowing = false;
  #isClosed = false;

  constructor(deployment: Deployment, intervalMs: number) {
    this.#deployment = deployment;
    this.#intervalMs = intervalMs;
  }

  /** Asks every server, and resolves soon even if some of them do not answer. */
  async tick(): Promise<Snapshot> {
    const { servers, sentinels, target } = this.#deployment;
    const startedAt = performance.now();
    const asksSlots = target.kind === "cluster" && startedAt - this.#slotsAt > slotsMs;
    if (asksSlots) this.#slotsAt = startedAt;
    const depth = asksSlots ? "roles" : "state";
    const name = target.name === undefined ? {} : { name: target.name };
    await this.#within(shares.ofAnswers, [
      ...servers.map((server) => this.#of(server).look({ depth, ...name })),
      ...sentinels.map((server) => this.#of(server).look({ depth: "roles", ...name })),
    ]);
    void this.#follow();
    const groups = groupsOf(this.#deployment, (server) => this.#of(server).lastReport);
    const until = startedAt + this.#intervalMs * shares.ofChasing;
    const chases = groups.flatMap((group) =>
      group.servers.map((server) => {
        const primary = group.primary === undefined ? undefined : this.#of(group.primary);
        this.#of(server).compareWith(primary, startedAt);
        return this.#of(server).chase(until);
      }),
    );
    await this.#within(shares.ofDrawing, chases);
    return this.#snapshot(groups);
  }

  close(): void {
    this.#isClosed = true;
    this.#deployment.close();
  }

  #snapshot(groups: ReturnType<typeof groupsOf>): Snapshot {
    const now = performance.now();
    const { maxStalenessMs } = this.#deployment.settings;
    const watched = groups.map(({ title, primary, servers, isKnown }): WatchedGroup => {
      const rows = servers.map((server) => this.#of(server).row({ primary, maxStalenessMs, now }));
      return { title, primary: primary?.address, servers: rows, isKnown };
    });
    return { at: new Date(), groups: watched, warnings: warningsOf(watched, this.#sentinelView(now)) };
  }

  #sentinelView(now: number): SentinelView | undefined {
    const { sentinels, target } = this.#deployment;
    if (target.kind !== "sentinel") return undefined;
    const answering = sentinels.filter(
      (server) =>
        valueIn(server.answer("sentinelPrimary")) !== undefined &&
        this.#of(server).silentMs(now) === undefined,
    );
    return {
      answering: answering.length,
      known: sentinels.length,
      named: primaryNamedBySentinels(this.#deployment),
    };
  }

  async #follow(): Promise<void> {
    if (this.#isFollowing || this.#isClosed) return;
    this.#isFollowing = true;
    await this.#deployment.follow();
    this.#isFollowing = false;
    // The servers that were found meanwhile would else keep their connections.
    if (this.#isClosed) this.#deployment.close();
  }

  #of(server: InspectedServer): WatchedServer {
    const known = this.#watched.get(server) ?? new WatchedServer(server);
    this.#watched.set(server, known);
    return known;
  }

  /** Resolves when all promises have, but no later than after a share of the interval. */
  async #within(share: number, promises: readonly Promise<void>[]): Promise<void> {
    const ended = new AbortController();
    const late = pause(Math.min(this.#intervalMs, mostMs) * share, undefined, { signal: ended.signal });
    await Promise.race([Promise.all(promises), late.catch(() => {})]);
    ended.abort();
  }
}
