/** Asks a replica again and again until it has caught up with positions of its primary. */
import { setTimeout as pause } from "node:timers/promises";
import { type PositionAt, positionOf } from "./position.js";
import type { InspectedServer } from "./server.js";

/** A position of the primary, and the time at which the primary had it. */
export interface Goal {
  readonly replid: string;
  readonly offset: number;
  readonly at: number;
}

/** How far the replica was behind a goal, and how long it took to reach the goal. */
export interface Chased {
  readonly bytes: number;
  /** At most this long. Infinity if the replica did not reach the goal in time. */
  readonly ms: number;
}

/** A replica that has not caught up by then counts as one that never does. */
const patienceMs = 5_000;
const firstPauseMs = 1;
/** Longer pauses would make the times inexact. */
const maxPauseMs = 32;

interface Pending {
  readonly goal: Goal;
  readonly bytes: number;
  readonly settle: (chased: Chased | undefined) => void;
}

/** The questions to one replica. Goals that are open at the same time share them. */
export class Chase {
  readonly #replica: InspectedServer;
  #pending: Pending[] = [];
  #isRunning = false;
  #pauseMs = firstPauseMs;
  #isStopped = false;

  constructor(replica: InspectedServer) {
    this.#replica = replica;
  }

  /**
   * Resolves when the replica has reached the goal. `now` is the replica's position at about the time of the goal. Undefined if
   * the replica's position is unknown or of another history.
   */
  reach(goal: Goal, now: PositionAt | undefined): Promise<Chased | undefined> {
    if (now === undefined || now.replication.replid !== goal.replid) return Promise.resolve(undefined);
    const bytes = Math.max(goal.offset - now.replication.offset, 0);
    if (bytes === 0) return Promise.resolve({ bytes, ms: Math.max(now.at - goal.at, 0) });
    return new Promise((settle) => {
      this.#pending.push({ goal, bytes, settle });
      this.#pauseMs = firstPauseMs;
      void this.#run();
    });
  }

  /** Gives up every open goal, as if it could not be compared. */
  stop(): void {
    this.#isStopped = true;
    for (const { settle } of this.#pending.splice(0)) settle(undefined);
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    while (this.#pending.length > 0 && !this.#isStopped) {
      await pause(this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs);
      await this.#ask();
    }
    this.#isRunning = false;
  }

  async #ask(): Promise<void> {
    const asked = [...this.#pending];
    const answer = await positionOf(this.#replica);
    if (answer.kind !== "value") {
      this.#settle(asked, () => null);
      return;
    }
    const { at, replication } = answer.value;
    this.#settle(asked, ({ goal, bytes }) => {
      if (replication.replid !== goal.replid) return null;
      if (replication.offset >= goal.offset) return { bytes, ms: Math.max(at - goal.at, 0) };
      return at - goal.at > patienceMs ? { bytes, ms: Number.POSITIVE_INFINITY } : undefined;
    });
  }

  /** Settles those of `asked` for which `outcome` is not undefined. Null means that there is no result. */
  #settle(asked: readonly Pending[], outcome: (pending: Pending) => Chased | null | undefined): void {
    const open: Pending[] = this.#pending.filter((pending) => !asked.includes(pending));
    for (const pending of asked) {
      const chased = outcome(pending);
      if (chased === undefined) open.push(pending);
      else pending.settle(chased ?? undefined);
    }
    this.#pending = open;
  }
}
