/** The numbers that an operator looks at first. */
import type { Sample } from "../src/http/dashboard/feed-messages.js";
import { byId, make, setText } from "./element.js";
import { count, milliseconds, percent, rate } from "./quantities.js";
import { readCounts, replicaShare, totalOf } from "./read-counts.js";

const names = [
  "Answered by replicas",
  "Reads per second",
  "Largest lag now",
  "Waits for a replica",
  "Fallbacks",
  "Refused",
  "In line now",
] as const;
/** So many samples are one minute, the same as in the verdict. */
const minute = 60;

type Name = (typeof names)[number];

interface Figure {
  readonly value: string;
  readonly detail: string;
  readonly isBad?: boolean;
}

export class Figures {
  readonly #parts = names.map((name) => {
    const [value, detail] = [make("dd"), make("dd", { class: "detail" })];
    const group = make("div", {}, make("dt", {}, name), value, detail);
    return { name, group, value, detail };
  });

  constructor() {
    byId("figures").replaceChildren(...this.#parts.map(({ group }) => group));
  }

  show(samples: readonly Sample[]): void {
    const figures = figuresOf(samples);
    for (const { name, group, value, detail } of this.#parts) {
      const figure = figures[name];
      setText(value, figure.value);
      setText(detail, figure.detail);
      group.classList.toggle("notable", figure.isBad === true);
    }
  }
}

function figuresOf(samples: readonly Sample[]): Readonly<Record<Name, Figure>> {
  const share = replicaShare(readCounts(samples.slice(-minute)));
  const sum = (number: (sample: Sample) => number) =>
    samples.reduce((total, sample) => total + number(sample), 0);
  const timedOut = sum(({ waits }) => waits.timedOut);
  const aborted = sum(({ waits }) => waits.aborted);
  const refused = sum(({ fallback }) => fallback.refused);
  const latest = samples.at(-1);
  const lastTen = samples.slice(-10);
  return {
    "Answered by replicas": {
      value: share === undefined ? "–" : percent(share),
      detail: "of reads, last minute",
    },
    "Reads per second": {
      value: rate(totalOf(readCounts(lastTen)) / Math.max(1, lastTen.length)),
      detail: "in the last 10 s",
    },
    "Largest lag now": lagOf(latest),
    "Waits for a replica": {
      value: count(sum(({ waits }) => waits.caughtUp) + timedOut + aborted),
      detail: endsOf(timedOut, aborted),
      isBad: timedOut > 0,
    },
    Fallbacks: { value: count(sum(({ fallback }) => fallback.reads)), detail: "in 5 min" },
    Refused: { value: count(refused), detail: "in 5 min", isBad: refused > 0 },
    "In line now": {
      value: count(latest?.fallback.waiting ?? 0),
      detail: `${count(latest?.fallback.active ?? 0)} at the primary`,
      isBad: (latest?.fallback.waiting ?? 0) > 0,
    },
  };
}

function endsOf(timedOut: number, aborted: number): string {
  const ends = [
    ...(timedOut > 0 ? [`${count(timedOut)} timed out`] : []),
    ...(aborted > 0 ? [`${count(aborted)} aborted`] : []),
  ];
  return ends.length === 0 ? "in 5 min" : ends.join(", ");
}

function lagOf(sample: Sample | undefined): Figure {
  const replicas = (sample?.nodes ?? []).filter(
    ({ role, state }) => role === "replica" && state !== "excluded",
  );
  const proven = replicas.flatMap(({ lagMs }) => (lagMs === undefined ? [] : [lagMs]));
  const missing = replicas.length - proven.length;
  const value = proven.length === 0 ? "–" : milliseconds(Math.max(...proven));
  if (replicas.length === 0) return { value, detail: "no replica" };
  return { value, detail: missing === 0 ? "of all replicas" : `${missing} not proven`, isBad: missing > 0 };
}
