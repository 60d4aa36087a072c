/** What more of everything costs: replicas, shards, app processes, tokens and sessions. */
import type { Section, SectionQuestion } from "../report/section.js";
import { answer } from "../report/worker.js";
import { measureFleets } from "./fleet.js";
import { measureMemory } from "./memory.js";
import { measureProcesses } from "./processes.js";
import { measureTokens } from "./tokens.js";

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  const tables = [
    ...(await measureFleets(scale)),
    ...(await measureProcesses(scale)),
    await measureTokens(scale),
    ...(await measureMemory(scale)),
  ];
  return { title: "Scale", tables, goals: [] };
});
