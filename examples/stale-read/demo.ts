/** `npm run demo`: the cart app under five ways to route its reads, on the same servers, in one table. */
import { parseArgs } from "node:util";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { complaints, introduction, reading, table } from "./report.js";
import { routingChoices } from "./routing.js";
import { type Outcome, trial } from "./trial.js";

const defaultSeconds = 7;

const { values } = parseArgs({ options: { seconds: { type: "string" } } });
const seconds = Number(values.seconds ?? process.env.DEMO_SECONDS ?? defaultSeconds);
if (!(seconds >= 0.5 && seconds <= 600)) {
  console.error("--seconds is how long each routing runs. Pass a number from 0.5 to 600");
  process.exit(2);
}

// No signal handlers: the servers end with this process, however it ends.
const outcomes = await runAll();
console.log(`\n${introduction(seconds)}\n\n${table(outcomes)}\n\n${reading(outcomes)}\n`);
const found = complaints(outcomes);
for (const complaint of found) console.error(complaint);
process.exitCode = found.length === 0 ? 0 : 1;

async function runAll(): Promise<readonly Outcome[]> {
  show("starting a primary and two replicas");
  await using group = await startReplicationGroup({ replicas: 2 });
  const outcomes: Outcome[] = [];
  for (const [index, choice] of routingChoices.entries()) {
    show(`${index + 1} of ${routingChoices.length}: ${choice.name}`);
    outcomes.push(await trial(choice, group, seconds));
  }
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  return outcomes;
}

/** Progress: one line that changes on a terminal, else a line each. */
function show(what: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${what} …` : `${what}\n`);
}
