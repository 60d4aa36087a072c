/** `npm run bench`: what consistency costs, as ratios to plain ioredis on the same servers, interleaved in one run. */
import { Redis } from "ioredis";
import { Tidemark } from "tidemark";
import { startReplicationGroup } from "../test/support/replication-group.js";

interface Contestant {
  readonly name: string;
  readonly run: () => Promise<unknown>;
  /** What it is compared with. */
  readonly against: () => Promise<unknown>;
}

interface Ratio {
  readonly throughput: number;
  readonly cpu: number;
}

const rounds = 9;
const operations = 30_000;
const operationsAlone = 3_000;

await using group = await startReplicationGroup({ replicas: 2 });
const [replica] = group.replicas;
if (replica === undefined) throw new Error("the group has no replica");
await using tidemark = new Tidemark({
  primary: group.primary.url,
  replicas: group.replicas.map(({ server }) => server.url),
});
const primary = new Redis(group.primary.url);
const plain = new Redis(replica.server.url);
const session = tidemark.session();

const contestants: readonly Contestant[] = [
  {
    name: "session read, position known, to a plain GET",
    run: () => session.redis.get("key"),
    against: () => plain.get("key"),
  },
  {
    name: "new session for every read, to a plain GET",
    run: () => tidemark.session().redis.get("key"),
    against: () => plain.get("key"),
  },
  {
    name: "session write, to a plain SET",
    run: () => session.redis.set("key", "value"),
    against: () => primary.set("key", "value"),
  },
];

await tidemark.ready();
console.log("in flight  throughput  CPU of the client  what, median of", rounds, "(least to most)");
for (const inFlight of [1, 16, 64]) {
  for (const contestant of contestants)
    console.log(line(inFlight, contestant.name, await compare(contestant, inFlight)));
}
primary.disconnect();
plain.disconnect();

async function compare({ run, against }: Contestant, inFlight: number): Promise<Ratio[]> {
  const count = inFlight === 1 ? operationsAlone : operations;
  const ratios: Ratio[] = [];
  for (let round = 0; round < rounds; round++) {
    const theirs = await measure(against, inFlight, count);
    const ours = await measure(run, inFlight, count);
    ratios.push({ throughput: theirs.ms / ours.ms, cpu: ours.cpu / theirs.cpu });
  }
  return ratios;
}

async function measure(
  run: () => Promise<unknown>,
  inFlight: number,
  count: number,
): Promise<{ ms: number; cpu: number }> {
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  const { user, system } = process.cpuUsage(cpuBefore);
  return { ms: performance.now() - startedAt, cpu: user + system };
}

function line(inFlight: number, name: string, ratios: readonly Ratio[]): string {
  const throughput = spread(ratios.map((ratio) => ratio.throughput));
  const cpu = spread(ratios.map((ratio) => ratio.cpu));
  return `${String(inFlight).padStart(9)}  ${throughput}  ${cpu}  ${name}`;
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const [least, middle, most] = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].map((one) =>
    (one ?? 0).toFixed(2),
  );
  return `${middle} (${least} to ${most})`;
}
