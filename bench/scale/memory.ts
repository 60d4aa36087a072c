/** What sessions and requests take of an app's heap. */
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { figureOf, type Table } from "../report/section.js";
import { Worker } from "../report/worker.js";
import type { Allocating, Keeping, MemoryQuestion } from "./memory-app.js";

const allocations: Readonly<Record<Allocating, string>> = {
  "plain read": "ioredis GET",
  kept: "a read of a session that the app keeps",
  "request reading": "a request with a token: its session, one read, its response",
  "plain write": "ioredis SET",
  "request writing": "a request with a token: its session, one write, its response with the new token",
};
const sessions: Readonly<Record<Keeping, string>> = {
  unused: "a session made from a token, which the app keeps",
  used: "the same, after a read",
  "held by nobody": "the same, when the app keeps no reference to it",
};
const allocating = ["plain read", "kept", "request reading", "plain write", "request writing"] as const;
const keeping = ["unused", "used", "held by nobody"] as const;
const rounds = 5;
/** As many as fit into the young generation. */
const requests = 2_000;
const held = 2_500;
const flags = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"];

export async function measureMemory(scale: number): Promise<Table[]> {
  await using group = await startReplicationGroup({ replicas: 2 });
  using worker = new Worker(new URL("./memory-app.js", import.meta.url), flags);
  const replicas = group.replicas.map(({ server }) => server.url);
  await worker.ask({ primary: group.primary.url, replicas } satisfies MemoryQuestion);
  const allocated = new Map<Allocating, number[]>(allocating.map((what) => [what, []]));
  const taken = new Map<Keeping, number[]>(keeping.map((what) => [what, []]));
  for (let round = -1; round < rounds; round++) {
    for (const what of allocating) {
      const bytes = await worker.ask<number>({ allocating: what, count: requests } satisfies MemoryQuestion);
      // The first warms up.
      if (round >= 0) allocated.get(what)?.push(bytes);
    }
    for (const what of keeping) {
      const count = Math.ceil(held * scale);
      const bytes = await worker.ask<number>({ keeping: what, count } satisfies MemoryQuestion);
      if (round >= 0) taken.get(what)?.push(bytes);
    }
  }
  return [
    {
      title: "Memory a request allocates",
      how:
        `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. The bytes are the heap's growth while ${requests} ` +
        "reads, writes or requests run, 64 in flight, without garbage collection, divided by their number.",
      columns: ["", "bytes"],
      rows: [...allocated].map(([what, all]) => [allocations[what], figureOf(all)]),
    },
    {
      title: "Memory of an idle session",
      how:
        `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. The bytes are the growth of heap and buffers for ` +
        "each session, after everything else was collected.",
      columns: ["", "bytes"],
      rows: [...taken].map(([what, all]) => [sessions[what], figureOf(all)]),
    },
  ];
}
