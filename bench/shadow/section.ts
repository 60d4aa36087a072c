/** Measures whether the forecast of the mode "shadow" is right, and what the mode costs. */
import type { Section, SectionQuestion } from "../report/section.js";
import { answer } from "../report/worker.js";
import { measureCost } from "./cost.js";
import { measureForecasts } from "./forecast.js";

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  const cost = await measureCost(scale);
  const forecasts = await measureForecasts(scale);
  return {
    title: "Shadow mode",
    tables: [...forecasts.tables, ...cost.tables],
    goals: [...forecasts.goals, ...cost.goals],
  };
});
