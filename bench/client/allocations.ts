/** How much memory one operation of each client allocates. */
import { type Figure, figureOf, type Table } from "../report/section.js";
import type { Cost } from "./burst.js";
import { type Entry, startClients } from "./contest.js";
import type { ContestantQuestion } from "./contestant.js";
import type { Servers } from "./operations.js";

const rounds = 7;
const counted = 2_000;
/** Room for everything that is allocated while it is counted, so that nothing is collected. */
const roomy = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"];

export async function allocationTable(entries: readonly Entry[], servers: Servers): Promise<Table> {
  const workers = await startClients(new Set(entries.map(({ client }) => client)), servers, roomy);
  try {
    const rows: (string | Figure)[][] = [];
    for (const { name, client, what } of entries) {
      const values: number[] = [];
      // The first warms up.
      for (let round = -1; round < rounds; round++) {
        const turn: ContestantQuestion = { what, inFlight: 64, count: counted };
        const cost = await workers.get(client)?.ask<Cost>(turn);
        if (round >= 0) values.push(cost?.allocated ?? Number.NaN);
      }
      rows.push([name, figureOf(values)]);
    }
    return {
      title: "Memory that an operation allocates",
      how:
        `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. The bytes are the growth of the heap while ` +
        `${counted} operations run, 64 in flight, without garbage collection, divided by their number.`,
      columns: ["", "bytes"],
      rows,
    };
  } finally {
    for (const worker of workers.values()) worker[Symbol.dispose]();
  }
}
