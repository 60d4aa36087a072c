/** How much CPU reads take while they wait for a replica that lags. */
import { seeded } from "../../test/support/load/seeded.js";
import {
  type ReplicationGroup,
  startReplicationGroup,
} from "../../test/support/servers/replication-group.js";
import { intervalOf, takeRounds } from "../report/rounds.js";
import type { Figure, Goal, Table } from "../report/section.js";
import { Worker } from "../report/worker.js";
import { shuffled } from "./shuffled.js";
import type { Wait, WaitingQuestion } from "./waiting-app.js";

const counts = [1, 10, 100];
const lagMs = 300;
/** Short waits before the measured ones. V8 then knows all of the code. */
const warmUp = { lagMs: 2, waits: 200, reads: 100 };
/** Waits with the measured lag. Tidemark then knows the lag. */
const trials = 3;
const limits = { least: 8, most: 20, tolerance: 0.1 };
const seed = 2;
const limitMs = 5;

export interface WaitingReads {
  readonly table: Table;
  readonly goal: Goal;
}

/** A process whose reads wait for a replica that lags. */
export class WaitingApp implements AsyncDisposable {
  readonly #group: ReplicationGroup;
  readonly #worker: Worker;
  readonly #lagMs: number;

  private constructor(group: ReplicationGroup, worker: Worker, lagMs: number) {
    this.#group = group;
    this.#worker = worker;
    this.#lagMs = lagMs;
  }

  /** Resolves when the process is warm, and has waited with `counts` reads at a time. */
  static async start(lagMs: number, counts: readonly number[]): Promise<WaitingApp> {
    const group = await startReplicationGroup({ replicas: 1 });
    const worker = new Worker(new URL("./waiting-app.js", import.meta.url));
    const app = new WaitingApp(group, worker, lagMs);
    const replicas = group.replicas.map(({ server }) => server.url);
    await worker.ask({ servers: { primary: group.primary.url, replicas } } satisfies WaitingQuestion);
    app.#delay(warmUp.lagMs);
    for (let i = 0; i < warmUp.waits; i++) await app.wait(warmUp.reads, 0);
    app.#delay(lagMs);
    for (let i = 0; i < trials; i++) for (const reads of counts) await app.wait(reads);
    return app;
  }

  async wait(reads: number, idleMs = this.#lagMs): Promise<Wait> {
    return await this.#worker.ask<Wait>({ reads, idleMs } satisfies WaitingQuestion);
  }

  #delay(ms: number): void {
    for (const { link } of this.#group.replicas) link.delay(ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker[Symbol.dispose]();
    await this.#group.stop();
  }
}

export async function measureWaitingReads(scale: number): Promise<WaitingReads> {
  await using app = await WaitingApp.start(lagMs, counts);
  const waits = new Map<number, Wait[]>(counts.map((reads) => [reads, []]));
  const random = seeded(seed);
  const rounds = await takeRounds(
    { ...limits, most: Math.max(limits.least, Math.ceil(limits.most * scale)) },
    async () => {
      for (const reads of shuffled(counts, random)) waits.get(reads)?.push(await app.wait(reads));
    },
    () => Array.from(waits.values(), (all) => all.map(({ cpuMs }) => cpuMs)),
  );
  const added = (reads: number): Figure =>
    intervalOf((waits.get(reads) ?? []).map(({ cpuMs, idleCpuMs }) => cpuMs - idleCpuMs));
  const of = (reads: number, what: keyof Wait): Figure =>
    intervalOf((waits.get(reads) ?? []).map((wait) => wait[what]));
  return {
    table: {
      title: "Waiting reads",
      how:
        `Each cell is the median of ${rounds} rounds. The brackets hold its 95 % interval. There is one replica, which is ${lagMs} ms behind. ` +
        "A user writes, and then the reads of as many sessions as the first column says wait for that write. CPU is that of the " +
        "process from the start of the reads until the last answer. It includes the reads themselves. The CPU that the idle " +
        "process takes in the same time is subtracted in the second column.",
      columns: ["waiting reads", "CPU added, ms", "CPU when idle, ms", "wait, ms"],
      rows: counts.map((reads) => [
        String(reads),
        added(reads),
        of(reads, "idleCpuMs"),
        of(reads, "waitedMs"),
      ]),
    },
    goal: {
      what: `CPU in ms that one read adds while it waits ${lagMs} ms for a replica`,
      is: "at most",
      limit: limitMs,
      measured: added(1),
    },
  };
}
