/** A process whose reads wait until a replica has the write before them. */
import { setTimeout as pause } from "node:timers/promises";
import { Tidemark } from "tidemark";
import { answer } from "../report/worker.js";
import { key, type Servers } from "./operations.js";

/** The first question names the servers. */
export type WaitingQuestion = { readonly servers: Servers } | Waiting;

export interface Waiting {
  readonly reads: number;
  /** For how long the process is idle before that. */
  readonly idleMs: number;
}

/** The CPU is that of all threads of the process, in ms. */
export interface Wait {
  readonly cpuMs: number;
  /** CPU of the same process in the same time, when no read waits. */
  readonly idleCpuMs: number;
  /** Until the last read was answered. */
  readonly waitedMs: number;
}

/** Longer than any wait. A read that is not answered then fails. */
const waitMs = 5_000;

let tidemark: Tidemark | undefined;
let written = 0;

answer(async (question: WaitingQuestion): Promise<Wait | undefined> => {
  if ("servers" in question) {
    tidemark = new Tidemark({ ...question.servers, waitMs, fallback: "error" });
    await tidemark.ready();
    return undefined;
  }
  if (tidemark === undefined) throw new Error("the process has no servers");
  const { reads, idleMs } = question;
  const idle = await costOf(() => pause(idleMs));
  const writer = tidemark.session();
  written += 1;
  await writer.redis.set(key, written);
  const token = writer.token();
  const host = tidemark;
  const sessions = Array.from({ length: reads }, () => host.session({ token }));
  const waiting = await costOf(async () => {
    for (const value of await Promise.all(sessions.map(({ redis }) => redis.get(key))))
      if (value !== String(written)) throw new Error(`read ${value} instead of ${written}`);
  });
  return { cpuMs: waiting.cpuMs, idleCpuMs: (idle.cpuMs * waiting.ms) / idle.ms, waitedMs: waiting.ms };
});

async function costOf(work: () => Promise<void>): Promise<{ cpuMs: number; ms: number }> {
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { cpuMs: (user + system) / 1_000, ms };
}
