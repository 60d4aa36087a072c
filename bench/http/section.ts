/** What a request costs an app with Tidemark, beside the same app with plain ioredis: on all frameworks and on all Nodes. */
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import type { Section, SectionQuestion } from "../report/section.js";
import { answer } from "../report/worker.js";
import type { Framework } from "./app.js";
import { BusyPrimary } from "./busy-primary.js";
import { type Cell, type Effort, type MeasuredCell, measure, nameOf } from "./cell.js";
import type { Contestant } from "./contestants.js";
import { goalsOf } from "./goals.js";
import { findNode, isRunning, majors, type Node } from "./nodes.js";
import { fiveKeys, key, value } from "./routes.js";
import { tablesOf } from "./tables.js";

const frameworks: readonly Framework[] = ["Express", "Koa", "Fastify", "Hono"];
/** With all contestants and on schedule. For all frameworks this would take too long. */
const measuredInFull: Framework = "Express";
/** What a short run measures: Node 24 collects garbage in other ways than Node 20. */
const short = ["express", ...majors.filter((major) => major === "24" || isRunning(major))];

answer(async ({ scale, only }: SectionQuestion): Promise<Section> => {
  await using group = await startReplicationGroup({ replicas: 2 });
  const servers = { primary: group.primary.url, replicas: group.replicas.map(({ server }) => server.url) };
  const redis = group.primary.admin();
  for (const one of [key, ...fiveKeys]) await redis.set(one, value);
  await group.caughtUp();
  using primary = await BusyPrimary.start(group.primary);
  const isShort = scale < 1;
  const { cells, missing } = await cellsOf(only ?? (isShort ? short : []), isShort);
  const effort = effortOf(scale);
  const measured: MeasuredCell[] = [];
  for (const cell of cells) {
    const one = await measure(cell, { servers, primary, effort });
    measured.push(one);
    console.error(`${nameOf(one)}: ${one.rounds} rounds`);
  }
  return { title: "HTTP", tables: tablesOf(measured, effort, missing), goals: goalsOf(measured) };
});

/** A short run has fewer rounds and shorter blocks, but all of the warm-up: without it, nothing is true. */
function effortOf(scale: number): Effort {
  const least = Math.max(2, Math.round(6 * Math.min(1, scale)));
  return {
    limits: { least, most: Math.max(least, Math.round(8 * scale)), tolerance: 0.1 },
    warmUp: 15_000,
    blocks: 2,
    requestsOfBlock: scale < 1 ? 2_000 : 2_500,
    scheduledMs: scale < 1 ? 1_000 : 2_000,
  };
}

/** The cells that `only` names, by their frameworks or Nodes, and the Nodes that cannot be had. */
async function cellsOf(
  only: readonly string[],
  isShort: boolean,
): Promise<{ cells: readonly Cell[]; missing: readonly string[] }> {
  const names = [...frameworks, ...majors].map((name) => name.toLowerCase());
  const unknown = only.filter((name) => !names.includes(name.toLowerCase()));
  if (unknown.length > 0)
    throw new Error(`--only does not know ${unknown.join(", ")}. Use ${names.join(", ")}`);
  const wanted = majors.filter((major) => isAsked(major, only, majors));
  const found = await Promise.all(wanted.map(findNode));
  const nodes = found.filter((node) => node !== undefined);
  const cells = frameworks
    .filter((framework) => isAsked(framework, only, frameworks))
    .flatMap((framework) => nodes.map((node) => cellOf(framework, node, isShort)));
  return { cells, missing: wanted.filter((_, index) => found[index] === undefined) };
}

function cellOf(framework: Framework, node: Node, isShort: boolean): Cell {
  const isScheduled = framework === measuredInFull;
  const others: readonly Contestant[] = isScheduled && !isShort ? ["signed cookie", "AsyncLocalStorage"] : [];
  return { framework, node, contestants: ["plain", "tidemark", ...others], isScheduled };
}

/** Whether `only` names `one`, or none of `all`. */
function isAsked(one: string, only: readonly string[], all: readonly string[]): boolean {
  const names = only.map((name) => name.toLowerCase());
  return names.includes(one.toLowerCase()) || !all.some((other) => names.includes(other.toLowerCase()));
}
