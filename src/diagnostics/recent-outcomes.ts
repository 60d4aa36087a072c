/** Counts how commands ended in the last minute, apart for the users that a rollout has reached and for the others. */

import { Durations, percentileOf } from "./durations.js";

/** How the commands of one group of users ended. */
export interface GroupOutcomes {
  /** The reads and writes of sessions that ended. Commands that block do not count. */
  readonly commands: number;
  /**
   * The share of them that were rejected, from 0 to 1. An error that the command itself caused, such as WRONGTYPE, does not count.
   * NaN without commands.
   */
  readonly errorRate: number;
  /** Half of them took at most this many milliseconds. NaN without commands. */
  readonly p50Ms: number;
  /** 99 % of them took at most this many milliseconds. NaN without commands. */
  readonly p99Ms: number;
}

/** What the rule `stopWhen` decides on: the outcomes of about the last minute in this process. */
export interface RecentOutcomes {
  /** The users whose reads replicas may answer. */
  readonly live: GroupOutcomes & {
    /** The share of the reads that the primary answered, from 0 to 1, without those at level `"strong"`. NaN without reads. */
    readonly primaryShare: number;
  };
  /** All other users. */
  readonly others: GroupOutcomes;
}

/** The reads of live sessions that went to the primary, and those that replicas answered. Both only grow. */
export interface ReadSides {
  readonly primary: number;
  readonly replica: number;
}

/** The outcomes of one group in a part of the minute. */
class Slot {
  errors = 0;
  readonly durations = new Durations();

  add(ms: number, isError: boolean): void {
    this.durations.add(ms);
    if (isError) this.errors += 1;
  }
}

class Part {
  readonly live = new Slot();
  readonly others = new Slot();
  readonly sides: ReadSides;

  constructor(sides: ReadSides) {
    this.sides = sides;
  }
}

/** The outcomes of the latest parts. */
export class OutcomeWindow {
  readonly #parts: Part[];
  readonly #maxParts: number;
  readonly #sides: () => ReadSides;

  constructor(maxParts: number, sides: () => ReadSides) {
    this.#maxParts = maxParts;
    this.#sides = sides;
    this.#parts = [new Part(sides())];
  }

  /** Counts a command that has ended. */
  ended(isLive: boolean, ms: number, isError: boolean): void {
    const part = this.#parts.at(-1);
    (isLive ? part?.live : part?.others)?.add(ms, isError);
  }

  /** Begins the next part, and forgets the oldest. */
  turn(): void {
    this.#parts.push(new Part(this.#sides()));
    if (this.#parts.length > this.#maxParts) this.#parts.shift();
  }

  /** Forgets everything, because it happened in another mode. */
  clear(): void {
    this.#parts.splice(0, this.#parts.length, new Part(this.#sides()));
  }

  get now(): RecentOutcomes {
    const before = this.#parts[0]?.sides ?? { primary: 0, replica: 0 };
    const sides = this.#sides();
    const [primary, replica] = [sides.primary - before.primary, sides.replica - before.replica];
    return {
      live: {
        ...outcomesOf(this.#parts.map(({ live }) => live)),
        primaryShare: primary / (primary + replica),
      },
      others: outcomesOf(this.#parts.map(({ others }) => others)),
    };
  }
}

function outcomesOf(slots: readonly Slot[]): GroupOutcomes {
  const durations = slots.map((slot) => ({ durations: slot.durations, weight: 1 }));
  const commands = slots.reduce((sum, slot) => sum + slot.durations.count, 0);
  const errors = slots.reduce((sum, slot) => sum + slot.errors, 0);
  return {
    commands,
    errorRate: errors / commands,
    p50Ms: percentileOf(durations, 0.5),
    p99Ms: percentileOf(durations, 0.99),
  };
}
