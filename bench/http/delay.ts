/** How long users wait for an app that is not at its limit. */
import { quantile } from "../report/quantile.js";
import type { BusyPrimary } from "./busy-primary.js";
import { readWithToken } from "./routes.js";
import type { RunningApp } from "./running-app.js";

/** The requests that are sent in a second, as a share of those that the plain app can answer. */
export const loadShare = 0.6;

/** Whether other clients keep the primary busy. */
export type Load = "quiet" | "busy";
export const loads: readonly Load[] = ["quiet", "busy"];

export interface Delay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The share of the time for which the primary used a CPU. */
  readonly primaryBusy: number;
}

export async function delayOf(
  app: RunningApp,
  moments: readonly number[],
  primary: BusyPrimary,
): Promise<Delay> {
  const [startedAt, cpuBefore] = [performance.now(), await primary.cpuMs()];
  const timesMs = await app.serveOnSchedule(readWithToken, moments);
  const [ms, cpuMs] = [performance.now() - startedAt, (await primary.cpuMs()) - cpuBefore];
  return { p50Ms: quantile(timesMs, 0.5), p99Ms: quantile(timesMs, 0.99), primaryBusy: cpuMs / ms };
}
