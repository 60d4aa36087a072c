/** What more of everything costs: replicas, shards, app processes, tokens, positions, pipelines and sessions. */
import type { Section, SectionQuestion } from "../report/section.js";
import { answer } from "../report/worker.js";
import { measureFleets } from "./fleet.js";
import { growthTable, measureGrowth } from "./growth.js";
import { measureMemory } from "./memory.js";
import { measureProcesses } from "./processes.js";
import { measureTokens } from "./tokens.js";

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  const curves = await measureGrowth(scale);
  const fleets = await measureFleets(scale);
  const tables = [
    growthTable([...curves, ...fleets.map(({ curve }) => curve)]),
    ...fleets.map(({ table }) => table),
    ...(await measureProcesses(scale)),
    await measureTokens(scale),
    ...(await measureMemory(scale)),
  ];
  return { title: "Scale", tables, goals: [] };
});
