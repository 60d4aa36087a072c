/** Divides the last five minutes into moments of five seconds. The charts show these moments. */
import type { Mark, Sample } from "../src/http/dashboard/feed-messages.js";
import { type ReadCounts, readCounts, totalOf } from "./read-counts.js";
import { type Recent, windowMs } from "./recent.js";

export const momentMs = 5_000;
export const momentCount = windowMs / momentMs;

export interface Moment {
  /** In milliseconds since 1970. */
  readonly from: number;
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
  readonly counts: ReadCounts;
  /** The reads per second. The last moment is not over, so its rate is of the samples that it has. */
  readonly rate: number;
  readonly waits: number;
  readonly fallbacks: number;
  readonly refused: number;
}

/** The oldest first. The last one has the latest sample. */
export function momentsOf({ samples, marks }: Pick<Recent, "samples" | "marks">): readonly Moment[] {
  const latest = Math.max(samples.at(-1)?.at ?? 0, marks.at(-1)?.at ?? 0);
  const last = startOf(latest);
  return Array.from({ length: momentCount }, (_, index) => {
    const from = last - (momentCount - 1 - index) * momentMs;
    const isWithin = ({ at }: { readonly at: number }) => startOf(at) === from;
    return momentOf(from, samples.filter(isWithin), marks.filter(isWithin));
  });
}

/** The last five minutes as one moment. */
export function wholeOf({ samples, marks }: Pick<Recent, "samples" | "marks">): Moment {
  return momentOf(samples[0]?.at ?? 0, samples, marks);
}

function startOf(at: number): number {
  return Math.floor(at / momentMs) * momentMs;
}

function momentOf(from: number, samples: readonly Sample[], marks: readonly Mark[]): Moment {
  const counts = readCounts(samples);
  const sum = (number: (sample: Sample) => number) =>
    samples.reduce((total, sample) => total + number(sample), 0);
  return {
    ...{ from, samples, marks, counts },
    rate: totalOf(counts) / Math.max(1, samples.length),
    waits: sum(({ waits }) => waits.caughtUp + waits.timedOut + waits.aborted),
    fallbacks: sum(({ fallback }) => fallback.reads),
    refused: sum(({ fallback }) => fallback.refused),
  };
}
