/** What consistency costs the servers: their CPU for each operation of a user, by their own accounts. */
import type { RedisServer } from "../../test/support/servers/redis-server.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { type Figure, figureOf, type Section, type SectionQuestion, type Table } from "../report/section.js";
import { answer, Worker } from "../report/worker.js";
import type { LoadQuestion, Policy } from "./load.js";

const policies: readonly Policy[] = ["primary", "primary with INFO", "tidemark"];
const names: Readonly<Record<Policy, string>> = {
  primary: "ioredis, all on the primary",
  "primary with INFO": "ioredis, all on the primary, with an INFO behind each write",
  tidemark: "Tidemark, each operation in a new session opened from the user's token",
};
const inFlights = [1, 16, 64];
const mixes = [
  { name: "95 reads to 5 writes", writeShare: 0.05 },
  { name: "writes alone", writeShare: 1 },
];
const rounds = 5;
const replicas = 2;
/** Operations of a turn; with one in flight each takes longer. */
const counts: Readonly<Record<number, number>> = { 1: 1_500, 16: 8_000, 64: 12_000 };

/** µs of each server's CPU for an operation. */
interface Cost {
  readonly primary: number;
  readonly replica: number;
}

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  await using group = await startReplicationGroup({ replicas });
  const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
  using loads = await Loads.start(
    group.primary.url,
    group.replicas.map(({ server }) => server.url),
  );
  const tables: Table[] = [];
  let share: Figure | undefined;
  for (const { name, writeShare } of mixes) {
    const rows: (string | number | Figure)[][] = [];
    for (const inFlight of inFlights) {
      const costs = new Map<Policy, Cost[]>(policies.map((policy) => [policy, []]));
      for (let round = 0; round < rounds; round++) {
        for (const policy of policies) {
          const count = Math.ceil((counts[inFlight] ?? 1) * scale);
          const cost = await costOf(servers, count, () => loads.run(policy, { inFlight, count, writeShare }));
          costs.get(policy)?.push(cost);
        }
      }
      const of = (policy: Policy, what: keyof Cost): number[] =>
        (costs.get(policy) ?? []).map((cost) => cost[what]);
      const plain = of("primary", "primary");
      for (const policy of policies) {
        const ratio = figureOf(of(policy, "primary").map((us, round) => us / (plain[round] ?? Number.NaN)));
        if (policy === "tidemark" && inFlight === 64 && writeShare < 1) share = ratio;
        const figures = [figureOf(of(policy, "primary")), ratio, figureOf(of(policy, "replica"))];
        rows.push([names[policy], inFlight, ...figures]);
      }
    }
    tables.push({
      title: `CPU of the servers, ${name}`,
      how:
        `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. There are ${replicas} replicas and ` +
        "200 users. The CPU is for one operation of a user. The CPU that the servers use without load in the same time is subtracted.",
      columns: ["", "in flight", "primary, µs", "ratio to plain ioredis", "a replica, µs"],
      rows,
    });
  }
  const what =
    "CPU of the primary for one operation of a user, 95 reads to 5 writes, 64 in flight, to ioredis with all on the primary";
  const goals = share === undefined ? [] : [{ what, limit: 0.35, is: "at most" as const, measured: share }];
  return { title: "Servers", tables, goals };
});

async function costOf(
  servers: readonly RedisServer[],
  count: number,
  run: () => Promise<void>,
): Promise<Cost> {
  const idle = await used(servers, () => new Promise((resolve) => setTimeout(resolve, 100)));
  const busy = await used(servers, run);
  const [primary = Number.NaN, ...others] = busy.cpu.map(
    (us, server) => (us - ((idle.cpu[server] ?? 0) * busy.ms) / idle.ms) / count,
  );
  return { primary, replica: others.reduce((sum, us) => sum + us, 0) / others.length };
}

/** The CPU each server uses meanwhile, in µs. */
async function used(
  servers: readonly RedisServer[],
  run: () => Promise<void>,
): Promise<{ cpu: number[]; ms: number }> {
  const before = await Promise.all(servers.map(cpuOf));
  const startedAt = performance.now();
  await run();
  const ms = performance.now() - startedAt;
  const after = await Promise.all(servers.map(cpuOf));
  return { cpu: after.map((us, server) => us - (before[server] ?? 0)), ms };
}

async function cpuOf(server: RedisServer): Promise<number> {
  const { used_cpu_user: user, used_cpu_sys: system } = await server.info("cpu");
  return (Number(user) + Number(system)) * 1e6;
}

/** One process for each policy. */
class Loads implements Disposable {
  readonly #workers = new Map<Policy, Worker>();

  static async start(primary: string, replicas: readonly string[]): Promise<Loads> {
    const loads = new Loads();
    for (const policy of policies) {
      const worker = new Worker(new URL("./load.js", import.meta.url));
      loads.#workers.set(policy, worker);
      await worker.ask({ policy, primary, replicas } satisfies LoadQuestion);
    }
    return loads;
  }

  async run(policy: Policy, question: Extract<LoadQuestion, { count: number }>): Promise<void> {
    await this.#workers.get(policy)?.ask(question);
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers.values()) worker[Symbol.dispose]();
  }
}
