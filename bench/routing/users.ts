/** A process with the users of every policy: each thinks, then reads or writes, one thing after the other. */
import { setTimeout as sleep } from "node:timers/promises";
import { seeded } from "../../test/support/load/seeded.js";
import { quantile } from "../report/quantile.js";
import { answer } from "../report/worker.js";
import { type Counts, openPolicies, type Policy, type Servers } from "./policies.js";

/** The first opens all policies and has their users begin, the last ends them; the others tell what they do for a while. */
export type UsersQuestion = Servers | { readonly forMs: number; readonly writeShare: number } | "end";

/** What became of the users of one policy. */
export interface Outcome {
  readonly name: string;
  readonly reads: number;
  /** Reads that lacked the user's own last write. */
  readonly stale: number;
  /** Shares of all reads. */
  readonly primaryShare: number;
  readonly thrownAwayShare: number;
  readonly readP50: number;
  readonly readP99: number;
  readonly writeP50: number;
  readonly writeP99: number;
}

const usersEach = 75;
/** Between what a user does, on average. */
const thinkMs = 200;

let share = 0;
let isOver = false;

/** The users of one policy. They never pause together: what is on its way to the replicas would arrive meanwhile. */
class Crowd {
  readonly #policy: Policy;
  readonly #lives: readonly Promise<void>[];
  #before: Counts;
  #reads: number[] = [];
  #writes: number[] = [];
  #stale = 0;

  constructor(policy: Policy) {
    this.#policy = policy;
    this.#before = { ...policy.counts };
    this.#lives = Array.from({ length: usersEach }, (_, user) => this.#live(user));
  }

  /** Forgets what has been until now. */
  begin(): void {
    this.#before = { ...this.#policy.counts };
    [this.#reads, this.#writes, this.#stale] = [[], [], 0];
  }

  /** What has been since. */
  outcome(): Outcome {
    const { name, counts } = this.#policy;
    const reads = counts.reads - this.#before.reads;
    return {
      name,
      reads,
      stale: this.#stale,
      primaryShare: (counts.onPrimary - this.#before.onPrimary) / reads,
      thrownAwayShare: (counts.thrownAway - this.#before.thrownAway) / reads,
      readP50: quantile(this.#reads, 0.5),
      readP99: quantile(this.#reads, 0.99),
      writeP50: quantile(this.#writes, 0.5),
      writeP99: quantile(this.#writes, 0.99),
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.#lives);
    await this.#policy.close();
  }

  async #live(user: number): Promise<void> {
    const random = seeded(user);
    let last = 0;
    while (!isOver) {
      await sleep(-Math.log(1 - random()) * thinkMs);
      const at = performance.now();
      if (random() < share) {
        await this.#policy.write(user, written(user, last + 1));
        this.#writes.push(performance.now() - at);
        last += 1;
      } else {
        const value = await this.#policy.read(user);
        this.#reads.push(performance.now() - at);
        if (numberIn(value, user, last) < last) this.#stale += 1;
      }
    }
  }
}

let crowds: readonly Crowd[] = [];

answer(async (question: UsersQuestion): Promise<readonly Outcome[]> => {
  if (question === "end") {
    isOver = true;
    await Promise.all(crowds.map((crowd) => crowd.end()));
    return [];
  }
  if ("primary" in question) {
    const policies = await openPolicies(question);
    crowds = policies.map((policy) => new Crowd(policy));
    return [];
  }
  share = question.writeShare;
  for (const crowd of crowds) crowd.begin();
  await sleep(question.forMs);
  return crowds.map((crowd) => crowd.outcome());
});

function written(user: number, number: number): string {
  return `${user}/${number}`;
}

/** The number of a value that `user` has written, who has come as far as `last`; 0 where there is none yet. */
function numberIn(value: string | null, user: number, last: number): number {
  if (value === null) return 0;
  const number = Number(value.split("/")[1]);
  if (value !== written(user, number) || !(number <= last))
    throw new Error(`user ${user}, who has written up to ${last}, was answered ${value}`);
  return number;
}
