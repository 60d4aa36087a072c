/** How many tokens one core opens and seals in a second. */
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { figureOf, type Table } from "../report/section.js";
import { Worker } from "../report/worker.js";
import type { TokenQuestion, TokenTask } from "./token-loops.js";

const names: Readonly<Record<TokenTask, string>> = {
  hmac: "HMAC-SHA-256 of node:crypto alone",
  "plain request": "a request's session, no token",
  unsigned: "a session from a token that is not encrypted",
  sealed: "a request's session from an encrypted token",
  "sealed before": "the same, encrypted with the older of two secrets",
  seal: "encrypting the token of a session",
};
const tasks = ["hmac", "plain request", "unsigned", "sealed", "sealed before", "seal"] as const;
const rounds = 7;
const count = 5_000;
const users = 1_000;

export async function measureTokens(scale: number): Promise<Table> {
  // Without a replica a primary counts no offsets, and all tokens would be one.
  await using group = await startReplicationGroup({ replicas: 1 });
  using worker = new Worker(new URL("./token-loops.js", import.meta.url));
  await worker.ask({ url: group.primary.url, users } satisfies TokenQuestion);
  const costs = new Map<TokenTask, number[]>(tasks.map((task) => [task, []]));
  for (let round = -2; round < rounds; round++) {
    for (const task of tasks) {
      const question: TokenQuestion = { task, count: Math.ceil(count * scale) };
      const us = await worker.ask<number>(question);
      // The first two warm up.
      if (round >= 0) costs.get(task)?.push(us);
    }
  }
  const hmac = costs.get("hmac") ?? [];
  const rows = [...costs].map(([task, all]) => [
    names[task],
    figureOf(all.map((us) => 1e6 / us)),
    figureOf(all),
    figureOf(all.map((us, round) => us / (hmac[round] ?? Number.NaN))),
  ]);
  return {
    title: "Tokens",
    how:
      `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. In each round the rows take turns, with ` +
      `the tokens of ${users} users, which have one position each. The CPU is that of the whole process, including the garbage collector.`,
    columns: ["", "per second and core", "CPU, µs", "ratio to the first row"],
    rows,
  };
}
