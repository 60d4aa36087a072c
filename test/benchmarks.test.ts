/** The page and the chart of the benchmarks come from the measurements, and from nothing else. */
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { chartOf } from "../bench/report/chart.js";
import { goalsOf, pageOf } from "../bench/report/markdown.js";
import type { Results } from "../bench/report/results.js";
import { type Figure, figureOf } from "../bench/report/section.js";

async function text(path: string): Promise<string> {
  return await readFile(new URL(`../${path}`, import.meta.url), "utf8");
}

it("the page and the chart match the results", async () => {
  const results: Results = JSON.parse(await text("bench/results.json"));
  expect(await text("docs/benchmarks.md")).toBe(pageOf(results));
  expect(await text("docs/benchmarks.svg")).toBe(chartOf(results));
});

it("the figures are the median of all rounds, with the least and the most", () => {
  expect(figureOf([3, 1, 10, 2, 7])).toEqual({ least: 1, median: 3, most: 10 });
});

it("the page says which goals are missed", () => {
  const goal = { what: "reads", limit: 2, measured: figureOf([1, 2, 3]) };
  expect(goalsOf([{ ...goal, is: "at least" }])).toContain("| reads | at least 2 | 2 (1 to 3) | met |");
  expect(goalsOf([{ ...goal, limit: 1.9, is: "at most" }])).toContain("**missed**");
  expect(goalsOf([{ ...goal, limit: 2.1, is: "at least" }])).toContain("**missed**");
});

it("the page calls no goal met that was not measured", () => {
  // This is how a figure arrives that has no values in another process.
  const measured: Figure = JSON.parse(JSON.stringify(figureOf([])));
  expect(goalsOf([{ what: "reads", limit: 2, is: "at most", measured }])).toContain("| not measured |");
});
