/** The subcommand `top`. */
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { askPassword } from "../arguments/password.js";
import { numberFrom } from "../arguments/settings.js";
import { addTargetOptions, type TargetOptions, targetOf } from "../arguments/target.js";
import { type Deployment, type InspectionTarget, inspect } from "../inspection/deployment.js";
import { defaultSettings } from "../inspection/settings.js";
import { terminalOf } from "../terminal/terminal.js";
import { jsonLine } from "./json.js";
import { LiveTable } from "./live-table.js";
import { plainPage } from "./page.js";
import { Watch } from "./watch.js";

interface TopOptions extends TargetOptions {
  readonly interval: number;
  readonly maxStalenessMs: number;
  readonly json?: boolean;
  readonly once?: boolean;
}

const leastIntervalS = 0.1;
const unreachableExitCode = 2;
/** What shells report for a program that Ctrl-C has ended. */
const interruptedExitCode = 130;

const examples = `
Examples:
  $ npx tidemark top redis://10.0.0.1:6379
  $ npx tidemark top --sentinel orders redis://10.0.1.1:26379 redis://10.0.1.2:26379

Keys: q quits, s or the arrows pick the column to sort by, r reverses, space pauses, ? shows help.
In a pipe, or with --once, it prints one table and ends.`;

/** Sets `process.exitCode`, and ends the process when the user quits the live table. */
export function topCommand(): Command {
  const command = new Command("top")
    .summary("watch servers in a live table: roles, states, lag and load")
    .description(
      "Watches Redis or Valkey servers in a live table: which replicas may answer reads, how far the others are behind, and why.",
    )
    .argument(
      "<url...>",
      "the servers, such as redis://10.0.0.1:6379. One is enough: the others are discovered",
    )
    .option("--interval <seconds>", "how often the servers are asked", numberFrom(leastIntervalS), 1)
    .option("--once", "print one table and end")
    .option("--json", "print one JSON object a line at each interval");
  return addTargetOptions(command)
    .option(
      "--max-staleness-ms <ms>",
      "maxStalenessMs of your Tidemark",
      numberFrom(1),
      defaultSettings.maxStalenessMs,
    )
    .addHelpText("after", examples)
    .action(async (urls: string[], options: TopOptions) => {
      const password = options.askPassword
        ? await askPassword({ input: process.stdin, output: process.stderr })
        : process.env.REDISCLI_AUTH;
      if (options.askPassword && password === undefined) {
        process.exitCode = interruptedExitCode;
        return;
      }
      const target = targetOf(urls, options, password === "" ? undefined : password);
      if (options.json) return streamJson(target, options);
      const isInteractive = terminalOf(process.stdout, process.env).isInteractive;
      return options.once || !isInteractive ? printOnce(target, options) : showLive(target, options);
    });
}

async function printOnce(target: InspectionTarget, options: TopOptions): Promise<void> {
  const { deployment, watch } = await found(target, options);
  const snapshot = await watch.tick();
  watch.close();
  const terminal = terminalOf(process.stdout, process.env);
  const page = plainPage(snapshot, { terminal, maxStalenessMs: options.maxStalenessMs });
  process.stdout.write(`${page.join("\n")}\n`);
  process.exitCode = exitCodeOf(deployment);
}

async function streamJson(target: InspectionTarget, options: TopOptions): Promise<void> {
  const { deployment, watch } = await found(target, options);
  process.exitCode = exitCodeOf(deployment);
  for (;;) {
    const startedAt = performance.now();
    const isTaken = process.stdout.write(`${jsonLine(await watch.tick())}\n`);
    if (options.once) break;
    if (!isTaken) await once(process.stdout, "drain");
    const rest = startedAt + options.interval * 1_000 - performance.now();
    await pause(Math.max(rest, 0));
  }
  watch.close();
}

async function showLive(target: InspectionTarget, options: TopOptions): Promise<never> {
  const { maxStalenessMs, interval } = options;
  await LiveTable.show(
    {
      output: process.stdout,
      input: process.stdin,
      env: process.env,
      intervalMs: interval * 1_000,
      maxStalenessMs,
    },
    async () => (await found(target, options)).watch,
  );
  // Servers that are still being looked for would keep the process alive.
  process.exit();
}

async function found(
  target: InspectionTarget,
  { interval, maxStalenessMs }: TopOptions,
): Promise<{ deployment: Deployment; watch: Watch }> {
  const deployment = await inspect(target, { settings: { maxStalenessMs }, depth: "roles" });
  return { deployment, watch: new Watch(deployment, interval * 1_000) };
}

function exitCodeOf({ servers }: Deployment): 0 | 2 {
  return servers.some(({ connection }) => connection.kind === "value") ? 0 : unreachableExitCode;
}
