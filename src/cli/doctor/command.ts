/** The subcommand `doctor`. */
import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import { askPassword } from "../arguments/password.js";
import { addSettingsOptions, numberFrom, type SettingsOptions, settingsIn } from "../arguments/settings.js";
import { addTargetOptions, type TargetOptions, targetOf } from "../arguments/target.js";
import { quantile, shareWithin } from "../inspection/distribution.js";
import { type Terminal, terminalOf } from "../terminal/terminal.js";
import { changeLines, changesBetween } from "./changes.js";
import { countsOf, exitCodeOf } from "./doctor.js";
import type { Finding } from "./finding.js";
import type { OpensTidemark } from "./observed-tidemark.js";
import { ProgressBar } from "./progress-bar.js";
import { reportOf } from "./report.js";
import { type Round, type RoundOptions, runRound } from "./rounds.js";

interface DoctorOptions extends TargetOptions, SettingsOptions {
  readonly json?: boolean;
  readonly strict?: boolean;
  readonly seconds: number;
  readonly writeCanary?: boolean;
  readonly watch?: true | number;
}

const defaultSeconds = 30;
const defaultWatchSeconds = 10;
/** What shells report for a program that Ctrl-C or SIGTERM has ended. */
const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

const examples = `
Examples:
  Check a primary and the replicas that it announces:
    $ tidemark doctor redis://10.0.0.1:6379

  Check the servers behind three Sentinels, as a user with a password, in CI:
    $ REDISCLI_AUTH=… tidemark doctor --sentinel orders --user app --json --strict \\
        redis://10.0.1.1 redis://10.0.1.2 redis://10.0.1.3

The doctor changes nothing, unless you pass --write-canary. It exits with 0 if
all is well, with 1 if a check fails (with --strict: or warns), and with 2 if
an option is wrong or no server can be reached.`;

/** Sets `process.exitCode`. `opens` makes a Tidemark. */
export function doctorCommand(opens: OpensTidemark): Command {
  const command = new Command("doctor")
    .summary("check whether servers are set up well for reads from replicas")
    .description(
      "Checks whether Redis or Valkey servers are set up well for reads from replicas, and says how to correct what is not.",
    )
    .argument(
      "<url...>",
      "the servers, such as redis://10.0.0.1:6379. One is enough: the others are discovered",
    )
    .option("--seconds <n>", "how long to sample the lag of the replicas", numberFrom(0), defaultSeconds)
    .option("--write-canary", "write one key on each primary, follow it to the replicas, and delete it")
    .option(
      "--watch [seconds]",
      `go on, and print verdicts that change (every ${defaultWatchSeconds} s)`,
      numberFrom(0.1),
    )
    .option("--json", "print JSON instead of text")
    .option("--strict", "exit with 1 on warnings too");
  addSettingsOptions(addTargetOptions(command)).addHelpText("after", examples);
  return command.action(async (urls: string[], options: DoctorOptions) => {
    process.exitCode = await doctor(urls, options, opens);
  });
}

async function doctor(
  urls: readonly string[],
  options: DoctorOptions,
  opens: OpensTidemark,
): Promise<number> {
  const password = options.askPassword
    ? await askPassword({ input: process.stdin, output: process.stderr })
    : process.env.REDISCLI_AUTH;
  if (options.askPassword && password === undefined) return exitCodes.SIGINT;
  const target = targetOf(urls, options, password === "" ? undefined : password);
  using interruption = new Interruption();
  const screen = terminalOf(process.stderr, process.env);
  const bar = new ProgressBar(screen, (text) => process.stderr.write(text));
  const round: RoundOptions = {
    target,
    settings: settingsIn(options),
    seconds: options.seconds,
    writesCanary: options.writeCanary === true,
    opens,
    signal: interruption.signal,
    onProgress: (label, share) => bar.show(label, share),
  };
  const first = await runRound(round);
  bar.clear();
  const terminal = terminalOf(process.stdout, process.env);
  print(
    options.json
      ? [JSON.stringify(jsonOf(first), undefined, options.watch ? undefined : 2)]
      : reportOf(first.deployment, first.findings, terminal),
  );
  if (options.watch !== undefined) await watch(round, first.findings, options, terminal);
  return interruption.exitCode ?? exitCodeOf(first.deployment, first.findings, options.strict === true);
}

/** Prints what changes until the user ends it. */
async function watch(
  options: RoundOptions,
  first: readonly Finding[],
  { watch: every, json }: DoctorOptions,
  terminal: Terminal,
): Promise<void> {
  const { signal } = options;
  const ms = (typeof every === "number" ? every : defaultWatchSeconds) * 1_000;
  // The sampling takes the time that would be waited otherwise.
  const seconds = Math.min(options.seconds, ms / 1_000);
  for (let before = first; !signal.aborted; ) {
    const startedAt = performance.now();
    const { findings } = await runRound({ ...options, seconds, onProgress: () => {} });
    if (signal.aborted) return;
    const changes = changesBetween(before, findings);
    const time = new Date();
    if (!json) print(changeLines(changes, time, terminal));
    else if (changes.length > 0) print([JSON.stringify({ time: time.toISOString(), changes })]);
    before = findings;
    const rest = Math.max(ms - (performance.now() - startedAt), 0);
    await pause(rest, undefined, { signal }).catch(() => {});
  }
}

/** What `--json` prints. A time is null if the replica did not catch up within five seconds. */
function jsonOf({ deployment, findings }: Round): object {
  const { lag = [], settings } = deployment;
  const quantilesOf = (values: readonly number[]) => ({
    p50: quantile(values, 0.5),
    p90: quantile(values, 0.9),
    p99: quantile(values, 0.99),
    max: quantile(values, 1),
  });
  const replicas = lag.map(({ ms, bytes, ...rest }) => ({
    ...rest,
    samples: ms.length,
    ms: quantilesOf(ms),
    bytes: quantilesOf(bytes),
    shares: settings.thinkMs.map((thinkMs) => ({ thinkMs, share: shareWithin(ms, thinkMs) })),
  }));
  return { summary: countsOf(findings), findings, lag: replicas };
}

function print(lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join("\n")}\n`);
}

/** Ctrl-C and SIGTERM. The second one ends the process at once. */
class Interruption implements Disposable {
  readonly #controller = new AbortController();
  exitCode: number | undefined;

  constructor() {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, this.#stop);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly #stop = (name: "SIGINT" | "SIGTERM"): void => {
    const code = exitCodes[name];
    if (this.exitCode !== undefined) process.exit(code);
    this.exitCode = code;
    this.#controller.abort();
  };

  [Symbol.dispose](): void {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, this.#stop);
  }
}
