/** Counts how commands ended in the last minute, apart for the users that a rollout has reached and for the others. */

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

/** Each class of durations is a twelfth longer than the one before, which is the error of a percentile. */
const classFactor = 13 / 12;
const leastMs = 0.05;
const mostMs = 60_000;
const classes = Math.ceil(Math.log(mostMs / leastMs) / Math.log(classFactor)) + 1;

/** The outcomes of one group in a part of the minute. */
class Slot {
  errors = 0;
  commands = 0;
  /** How many commands are in each class of durations. */
  readonly durations = new Uint32Array(classes);

  add(ms: number, isError: boolean): void {
    const at = Math.ceil(Math.log(Math.max(ms, leastMs) / leastMs) / Math.log(classFactor));
    const index = Math.min(at, classes - 1);
    this.durations[index] = (this.durations[index] ?? 0) + 1;
    this.commands += 1;
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
  const commands = sumOf(slots, (slot) => slot.commands);
  const errors = sumOf(slots, (slot) => slot.errors);
  return {
    commands,
    errorRate: errors / commands,
    p50Ms: percentileOf(slots, commands / 2),
    p99Ms: percentileOf(slots, commands * 0.99),
  };
}

/** The upper bound of the class that the command of this rank is in. */
function percentileOf(slots: readonly Slot[], rank: number): number {
  let passed = 0;
  for (let at = 0; at < classes; at += 1) {
    passed += sumOf(slots, ({ durations }) => durations[at] ?? 0);
    if (passed > 0 && passed >= rank) return leastMs * classFactor ** at;
  }
  return Number.NaN;
}

function sumOf(slots: readonly Slot[], value: (slot: Slot) => number): number {
  return slots.reduce((sum, slot) => sum + value(slot), 0);
}
