/** How well a refused read says when it may be tried again. */
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import type { LagProxy } from "../../test/support/proxies/lag-proxy.js";
import {
  type ReplicationGroup,
  startReplicationGroup,
} from "../../test/support/servers/replication-group.js";
import { quantile } from "../report/quantile.js";
import type { Section, SectionQuestion, Table } from "../report/section.js";
import { answer, Worker } from "../report/worker.js";
import type { Refusal, RefusalsTask } from "./refusals.js";

interface Case {
  readonly name: string;
  /** Has the link of each replica lag, until what it returns is called. */
  readonly lag: (link: LagProxy) => () => void;
  readonly count: number;
  readonly everyMs: number;
  readonly bytes: number;
}

function delayed(ms: number, count: number, everyMs: number): Case {
  return {
    name: `lag ${ms} ms`,
    lag: (link) => {
      link.delay(ms);
      return () => link.delay(0);
    },
    count,
    everyMs,
    bytes: 100,
  };
}

/** Held for so long, and then let go for as long. */
function paused(ms: number, count: number, everyMs: number): Case {
  return {
    name: `replication stopped for ${ms} ms of every ${2 * ms} ms`,
    lag: (link) => {
      let isHeld = false;
      const timer = setInterval(() => {
        isHeld = !isHeld;
        if (isHeld) link.hold();
        else void link.release();
      }, ms);
      return () => {
        clearInterval(timer);
        void link.release();
      };
    },
    count,
    everyMs,
    bytes: 100,
  };
}

/** At such a rate; a write of `bytes` takes that long. */
function throttled(bytesPerMs: number, bytes: number, count: number, everyMs: number): Case {
  return {
    name: `replication at ${bytesPerMs} kB/s, writes of ${bytes / 1_000} kB, ${Math.round(bytes / everyMs)} kB/s in all`,
    lag: (link) => {
      link.throttle(bytesPerMs);
      return () => link.throttle(Number.POSITIVE_INFINITY);
    },
    count,
    everyMs,
    bytes,
  };
}

const cases: readonly Case[] = [
  delayed(5, 400, 5),
  delayed(50, 400, 10),
  delayed(500, 300, 20),
  paused(400, 300, 20),
  throttled(200, 10_000, 200, 55),
  throttled(200, 10_000, 100, 30),
];
const settlingMs = 1_000;

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  const rows: (string | number)[][] = [];
  for (const one of cases) {
    await using group = await startReplicationGroup({ replicas: 1 });
    rows.push([one.name, ...figuresOf(await refusalsOf(group, one, scale))]);
  }
  return { title: "Refused reads", tables: [tableOf(rows)], goals: [] };
});

async function refusalsOf(group: ReplicationGroup, one: Case, scale: number): Promise<readonly Refusal[]> {
  const ends = group.replicas.map(({ link }) => one.lag(link));
  using worker = new Worker(new URL("./refusals.js", import.meta.url));
  const servers = { primary: group.primary.url, replicas: group.replicas.map(({ server }) => server.url) };
  using _others = othersWriting(group.primary.url);
  await pause(settlingMs);
  const { everyMs, bytes } = one;
  const task: RefusalsTask = { ...servers, count: Math.ceil(one.count * scale), everyMs, bytes };
  const refusals = await worker.ask<readonly Refusal[]>(task);
  for (const end of ends) end();
  return refusals;
}

/** Small writes of others, a hundred in a second. */
function othersWriting(url: string): Disposable {
  const redis = new Redis(url);
  const timer = setInterval(() => void redis.incr("others"), 10);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      redis.disconnect();
    },
  };
}

function figuresOf(refusals: readonly Refusal[]): number[] {
  const estimated = refusals.filter(({ estimatedMs }) => estimatedMs !== undefined);
  const errors = estimated.map(({ estimatedMs = 0, waitedMs }) => Math.abs(estimatedMs - waitedMs));
  const ratios = estimated.map(({ estimatedMs = 0, waitedMs }) => estimatedMs / Math.max(waitedMs, 1));
  const answered = refusals.filter(({ isAnswered }) => isAnswered).length;
  return [
    refusals.length,
    refusals.length - estimated.length,
    quantile(
      refusals.map(({ waitedMs }) => waitedMs),
      0.5,
    ),
    ...[0.5, 0.9, 0.99].map((share) => quantile(errors, share)),
    ...[0.1, 0.5, 0.9, 0.99].map((share) => quantile(ratios, share)),
    (100 * answered) / refusals.length,
  ];
}

const how =
  "There is one replica, behind a proxy that delays replication. In a process that has just started, each user writes, and at once " +
  'reads with fallback "error". The real wait begins with the refusal of the read and ends when the replica has the write. The ' +
  "error is the difference between the estimated and the real wait. The ratio is the estimated wait divided by the real wait, or " +
  "by 1 ms if the real wait is shorter. Each read is tried once more after exactly the estimated wait. Other clients write 100 " +
  "times a second.";

function tableOf(rows: Table["rows"]): Table {
  return {
    title: "The estimated wait, compared with the real one",
    how,
    columns: [
      "",
      "refused",
      "no estimate",
      "real wait p50, ms",
      "error p50, ms",
      "p90",
      "p99",
      "ratio p10",
      "p50",
      "p90",
      "p99",
      "answered when tried again, %",
    ],
    rows,
  };
}
