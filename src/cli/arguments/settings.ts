/** Reads the options of the app's Tidemark, so that checks can compare them with the servers. */
import { type Command, InvalidArgumentError } from "commander";
import { defaultSettings, type Settings } from "../inspection/settings.js";

/** A number that is at least `least`. */
export function numberFrom(least: number): (text: string) => number {
  return (text) => {
    const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= least)) throw new InvalidArgumentError(`Pass a number of at least ${least}.`);
    return number;
  };
}

/** Numbers with commas between them. */
function numbersIn(text: string): number[] {
  return text.split(",").map((part) => numberFrom(0)(part.trim()));
}

/** Adds an option for each of the {@link Settings}. */
export function addSettingsOptions(command: Command): Command {
  const { maxStalenessMs, tokenTtlMs, waitMs, maxClockSkewMs, probeIntervalMs, processes, thinkMs } =
    defaultSettings;
  return command
    .option("--max-staleness-ms <ms>", "maxStalenessMs of your Tidemark", numberFrom(1), maxStalenessMs)
    .option("--token-ttl-ms <ms>", "tokenTtlMs of your Tidemark", numberFrom(1), tokenTtlMs)
    .option("--wait-ms <ms>", "waitMs of your Tidemark", numberFrom(0), waitMs)
    .option("--max-clock-skew-ms <ms>", "maxClockSkewMs of your Tidemark", numberFrom(0), maxClockSkewMs)
    .option("--probe-interval-ms <ms>", "probeIntervalMs of your Tidemark", numberFrom(1), probeIntervalMs)
    .option("--processes <count>", "how many processes of your app connect", numberFrom(1), processes)
    .option("--think <ms,…>", "how long after a write your users read", numbersIn, thinkMs);
}

/** The values of a command's options that are settings. `--think` has a name of its own. */
export interface SettingsOptions extends Omit<Settings, "thinkMs"> {
  readonly think: readonly number[];
}

/** The settings among the values of a command's options. */
export function settingsIn(options: SettingsOptions): Settings {
  const { maxStalenessMs, tokenTtlMs, waitMs, maxClockSkewMs, probeIntervalMs, processes, think } = options;
  return { maxStalenessMs, tokenTtlMs, waitMs, maxClockSkewMs, probeIntervalMs, processes, thinkMs: think };
}
