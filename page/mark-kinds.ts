/** The kinds of marks: their words, and their shapes on the time axis and in lists. */
import type { Mark } from "../src/http/dashboard/feed-messages.js";
import { draw } from "./element.js";

interface MarkKind {
  readonly word: string;
  /** A path around the origin, at most 5 wide to each side. */
  readonly shape: string;
  /** A kind of greater weight stands for the others of its moment. */
  readonly weight: number;
}

const triangle = "M0 -5L5 4H-5Z";
const cross = "M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z";

const kinds: Readonly<Record<Mark["kind"], MarkKind>> = {
  "lost-write": { word: "lost write", shape: cross, weight: 5 },
  failover: { word: "failover", shape: "M0 -5.5L5.5 0L0 5.5L-5.5 0Z", weight: 4 },
  warning: { word: "warning", shape: triangle, weight: 3 },
  "stale-read": { word: "stale read", shape: "M-4 -4H4V4H-4Z", weight: 2 },
  "late-write": { word: "late write", shape: "M-5 -4H5L0 5Z", weight: 1 },
  topology: { word: "servers", shape: "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z", weight: 0 },
};

export function wordOf(kind: Mark["kind"]): string {
  return kinds[kind].word;
}

/** The kind that stands for all marks of a moment. */
export function heaviestOf(marks: readonly Mark[]): Mark["kind"] | undefined {
  return marks.toSorted((one, other) => kinds[other.kind].weight - kinds[one.kind].weight)[0]?.kind;
}

export function shapeOf(kind: Mark["kind"]): SVGPathElement {
  return draw("path", { d: kinds[kind].shape, class: `mark ${kind}` });
}

/** The shape for a list, as large as a letter. */
export function iconOf(kind: Mark["kind"]): SVGSVGElement {
  return draw("svg", { viewBox: "-6 -6 12 12", class: "icon", "aria-hidden": "true" }, shapeOf(kind));
}
