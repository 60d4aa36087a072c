/** An app of its own process that closes its Tidemark, and prints which timers would then keep the process alive. */
import { Tidemark, type TidemarkOptions } from "../../../src/index.js";

/** Enough for everything that closing leaves to the next turns of the event loop. */
const turns = 20;

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
}

/** An `once` that errors do not reject. */
function emitted(event: string): Promise<void> {
  return new Promise((resolve) => tidemark.redis.once(event, () => resolve()));
}

const options: TidemarkOptions = JSON.parse(process.argv[2] ?? "{}");
const isPrimaryKnown = "primary" in options;
const before = timers();
const tidemark = new Tidemark(options);
tidemark.redis.on("error", () => {});
const subscribed = tidemark.redis.subscribe("channel").catch(() => {});
if (isPrimaryKnown) await emitted("reconnecting");
else await tidemark.ready({ timeoutMs: 300 }).catch(() => {});
const end = emitted("end");
await tidemark.close({ timeoutMs: 0 });
await subscribed;
if (isPrimaryKnown) await end;
for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
process.stdout.write(JSON.stringify({ timers: timers() - before }));
