/** The kinds of marks: their words, and their shapes on the time axis and in lists. */
import type { Mark } from "../src/http/dashboard/feed-messages.js";
import { draw } from "./element.js";

/** How a mark is shown. A loss looks like a warning. */
type Sign = Mark["kind"] | "loss";

interface MarkKind {
  readonly word: string;
  /** A path around the origin, at most 5 wide to each side. */
  readonly shape: string;
  /** A kind of greater weight stands for the others of its moment. */
  readonly weight: number;
}

const triangle = "M0 -5L5 4H-5Z";
const cross = "M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z";

const kinds: Readonly<Record<Sign, MarkKind>> = {
  "lost-write": { word: "lost write", shape: cross, weight: 6 },
  failover: { word: "failover", shape: "M0 -5.5L5.5 0L0 5.5L-5.5 0Z", weight: 5 },
  warning: { word: "warning", shape: triangle, weight: 4 },
  loss: { word: "servers", shape: triangle, weight: 3 },
  "stale-read": { word: "stale read", shape: "M-4 -4H4V4H-4Z", weight: 2 },
  "late-write": { word: "late write", shape: "M-5 -4H5L0 5Z", weight: 1 },
  topology: { word: "servers", shape: "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z", weight: 0 },
};

export function signOf({ kind, isLoss = false }: Pick<Mark, "kind" | "isLoss">): Sign {
  return isLoss ? "loss" : kind;
}

export function wordOf(sign: Sign): string {
  return kinds[sign].word;
}

/** The sign that stands for all marks of a moment. */
export function heaviestOf(marks: readonly Mark[]): Sign | undefined {
  return marks.map(signOf).toSorted((one, other) => kinds[other].weight - kinds[one].weight)[0];
}

export function shapeOf(sign: Sign): SVGPathElement {
  return draw("path", { d: kinds[sign].shape, class: `mark ${sign}` });
}

/** The shape for a list, as large as a letter. */
export function iconOf(sign: Sign): SVGSVGElement {
  return draw("svg", { viewBox: "-6 -6 12 12", class: "icon", "aria-hidden": "true" }, shapeOf(sign));
}
