/** The subcommand `doctor`. */
import { Command } from "commander";
import { addSettingsOptions, numberFrom, type SettingsOptions, settingsIn } from "../arguments/settings.js";
import { addTargetOptions, type TargetOptions, targetOf } from "../arguments/target.js";
import { inspect } from "../inspection/deployment.js";
import { sampleLag } from "../inspection/lag.js";
import { terminalOf } from "../terminal/terminal.js";
import { examine, exitCodeOf } from "./doctor.js";
import { type OpensTidemark, observeTidemark } from "./observed-tidemark.js";
import { reportOf } from "./report.js";

interface DoctorOptions extends TargetOptions, SettingsOptions {
  readonly json?: boolean;
  readonly strict?: boolean;
  readonly seconds: number;
  readonly writeCanary?: boolean;
}

/** Sets `process.exitCode`. `opens` makes a Tidemark. */
export function doctorCommand(opens: OpensTidemark): Command {
  const command = new Command("doctor")
    .description("Check whether Redis or Valkey servers are set up well for reads from replicas.")
    .argument(
      "<url...>",
      "the servers, such as redis://10.0.0.1:6379. One is enough: the others are discovered",
    )
    .option("--seconds <n>", "how long the lag is sampled", numberFrom(0), 30)
    .option("--write-canary", "write one key on each primary, follow it to the replicas, and delete it")
    .option("--json", "print the findings as JSON")
    .option("--strict", "exit with 1 on warnings too");
  addSettingsOptions(addTargetOptions(command));
  return command.action(async (urls: string[], options: DoctorOptions) => {
    const password = process.env.REDISCLI_AUTH;
    const deployment = await inspect(targetOf(urls, options, password), { settings: settingsIn(options) });
    await sampleLag(deployment, { seconds: options.seconds, writesCanary: options.writeCanary === true });
    await observeTidemark(deployment, opens);
    const findings = examine(deployment);
    deployment.close();
    const lines = options.json
      ? [JSON.stringify(findings, undefined, 2)]
      : reportOf(findings, terminalOf(process.stdout, process.env));
    process.stdout.write(`${lines.join("\n")}\n`);
    process.exitCode = exitCodeOf(deployment, findings, options.strict === true);
  });
}
