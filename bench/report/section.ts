/** What one part of the bench has measured: the tables, the chart and the goals are made from nothing else. */

/** One number, taken once in each round. */
export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface Table {
  readonly title: string;
  /** How it was measured. */
  readonly how: string;
  /** The first is that of the names of the rows. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number | Figure)[])[];
}

/** What Tidemark has to hold to. */
export interface Goal {
  readonly what: string;
  readonly limit: number;
  readonly is: "at least" | "at most";
  readonly measured: Figure;
}

export interface Section {
  readonly title: string;
  /** Where and when it was measured; undefined for the day and place of the last whole run. */
  readonly where?: string;
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
}

/** What a part of the bench, run in a process of its own, is asked. */
export interface SectionQuestion {
  /** How much of the usual work to do; 1 is all of it. */
  readonly scale: number;
  /** Names of what alone to measure, in parts that can be divided; all of it if undefined. */
  readonly only?: readonly string[];
}

/** The middle of all rounds, with their spread. */
export function figureOf(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const [least = Number.NaN] = sorted;
  return {
    least,
    median: sorted[sorted.length >> 1] ?? Number.NaN,
    most: sorted.at(-1) ?? Number.NaN,
  };
}
