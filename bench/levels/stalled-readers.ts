/** Users who have just written, and read what is dear to the server, as many in a second whatever becomes of them. */
import { subscribe } from "node:diagnostics_channel";
import { ReplicasBehindError, type RouteMessage, Tidemark, type TidemarkOptions } from "tidemark";
import { clock } from "../report/clock.js";
import { quantile } from "../report/quantile.js";
import { answer } from "../report/worker.js";

/** The options come first. */
export type ReadersQuestion =
  | { readonly options: TidemarkOptions; readonly read: readonly string[] }
  | { readonly forMs: number; readonly perSecond: number };

export interface ReadersAnswer {
  readonly sent: number;
  /** Answered within the time. */
  readonly served: number;
  /** Rejected with a `ReplicasBehindError`. */
  readonly behind: number;
  readonly failed: number;
  /** Not answered when the time was over. */
  readonly open: number;
  readonly p50: number;
  readonly p99: number;
  /** How many were sent to the primary. */
  readonly onPrimary: number;
}

const [everyMs, writeEvery] = [5, 20];
const name = { command: "", args: [] as string[] };
let tidemark: Tidemark | undefined;
let onPrimary = 0;
let token = "";

subscribe("tidemark:route", (message) => {
  const { command, role } = message as RouteMessage;
  if (command === name.command && role === "primary") onPrimary += 1;
});

answer(async (question: ReadersQuestion): Promise<ReadersAnswer | undefined> => {
  if ("options" in question) {
    const [command = "", ...args] = question.read;
    Object.assign(name, { command, args });
    tidemark = new Tidemark(question.options);
    await tidemark.ready();
    return undefined;
  }
  return load(question.forMs, question.perSecond);
});

async function load(forMs: number, perSecond: number): Promise<ReadersAnswer> {
  const counts = { sent: 0, served: 0, behind: 0, failed: 0 };
  const took: number[] = [];
  const onPrimaryBefore = onPrimary;
  const startedAt = clock();
  await new Promise<void>((resolve) => {
    let ticks = 0;
    const timer = setInterval(() => {
      const elapsedMs = clock() - startedAt;
      if (ticks++ % writeEvery === 0) void write();
      while (counts.sent < (Math.min(elapsedMs, forMs) * perSecond) / 1_000) {
        counts.sent += 1;
        void read(counts, took);
      }
      if (elapsedMs < forMs) return;
      clearInterval(timer);
      resolve();
    }, everyMs);
  });
  const open = counts.sent - counts.served - counts.behind - counts.failed;
  return {
    ...counts,
    open,
    p50: quantile(took, 0.5),
    p99: quantile(took, 0.99),
    onPrimary: onPrimary - onPrimaryBefore,
  };
}

async function write(): Promise<void> {
  const session = tidemark?.session();
  await session?.redis.incr("readers").catch(() => {});
  token = session?.token() ?? token;
}

async function read(
  counts: { served: number; behind: number; failed: number },
  took: number[],
): Promise<void> {
  const sentAt = clock();
  try {
    await tidemark?.session({ token }).redis.call(name.command, ...name.args);
    counts.served += 1;
    took.push(clock() - sentAt);
  } catch (error) {
    counts[error instanceof ReplicasBehindError ? "behind" : "failed"] += 1;
  }
}
