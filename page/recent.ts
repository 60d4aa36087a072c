/** What the feed has reported in the last five minutes. */
import type { Reason } from "../src/diagnostics/channels.js";
import type { FeedMessages, Mark, ReadLine, Sample } from "../src/http/dashboard/feed-messages.js";

export const windowMs = 300_000;
const mostMarks = 100;
const mostReads = 100;

export class Recent {
  samples: readonly Sample[] = [];
  /** The oldest first. */
  marks: readonly Mark[] = [];
  /** The reads that were received while the page was connected. */
  received = 0;
  #reads: readonly ReadLine[] = [];
  /** A rare reason would soon be lost among all reads, so each reason keeps its own. */
  #byReason = new Map<Reason, readonly ReadLine[]>();

  /** Replaces everything: after a new connection the server sends all that it knows. */
  replace({ samples, marks, reads }: FeedMessages["history"]): void {
    this.samples = [];
    this.#reads = [];
    this.#byReason = new Map();
    this.marks = marks.slice(-mostMarks);
    for (const sample of samples) this.addSample(sample);
    this.#keep(reads);
  }

  addSample(sample: Sample): void {
    this.samples = [...this.samples.filter(({ at }) => at > sample.at - windowMs), sample];
  }

  addMark(mark: Mark): void {
    this.marks = [...this.marks, mark].slice(-mostMarks);
  }

  addReads(reads: readonly ReadLine[]): void {
    this.received += reads.length;
    this.#keep(reads);
  }

  /** The last hundred reads, or the last hundred with `reason`, the oldest first. */
  reads(reason?: Reason): readonly ReadLine[] {
    return reason === undefined ? this.#reads : (this.#byReason.get(reason) ?? []);
  }

  #keep(reads: readonly ReadLine[]): void {
    this.#reads = [...this.#reads, ...reads].slice(-mostReads);
    for (const reason of new Set(reads.map((read) => read.reason))) {
      const lines = [...this.reads(reason), ...reads.filter((read) => read.reason === reason)];
      this.#byReason.set(reason, lines.slice(-mostReads));
    }
  }
}
