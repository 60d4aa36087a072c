/** A process that tells how many bytes of its heap requests and sessions take. */
import { PerformanceObserver } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers/promises";
import { Redis } from "ioredis";
import { type Session, Tidemark } from "tidemark";
import { type CarrierResponse, header, requestSessions } from "tidemark/http";
import { answer } from "../report/worker.js";

export type Allocating = "plain read" | "plain write" | "kept" | "request reading" | "request writing";
export type Keeping = "unused" | "used" | "held by nobody";

/** The first begins it on these servers; needs `--expose-gc`, and a young generation that holds all of `allocating`. */
export type MemoryQuestion =
  | { readonly primary: string; readonly replicas: readonly string[] }
  | { readonly allocating: Allocating; readonly count: number }
  | { readonly keeping: Keeping; readonly count: number };

const inFlight = 64;
const key = "memory";
const value = "value";

interface App {
  readonly allocating: Readonly<Record<Allocating, () => Promise<unknown>>>;
  /** A session of a user who has written before. */
  readonly returning: () => Session;
}

let app: App;
let lastCollection = 0;
new PerformanceObserver((list) => {
  for (const { startTime } of list.getEntries()) lastCollection = Math.max(lastCollection, startTime);
}).observe({ entryTypes: ["gc"] });

/** Answers with the bytes of each. */
answer(async (question: MemoryQuestion): Promise<number> => {
  if ("primary" in question) {
    app = await open(question);
    return Number.NaN;
  }
  if ("allocating" in question) return await allocated(app.allocating[question.allocating], question.count);
  return await taken(question.keeping, question.count);
});

async function open(servers: Extract<MemoryQuestion, { primary: string }>): Promise<App> {
  const plain = new Redis(servers.primary);
  const tidemark = new Tidemark(servers);
  await tidemark.ready();
  const carrier = header();
  const opened = requestSessions(tidemark, { secret: "a secret of at least 32 characters", carrier });
  const { session: kept } = opened({ headers: {} });
  await kept.redis.set(key, value);
  const headers = { "consistency-token": kept.sealed() };
  return {
    allocating: {
      "plain read": async () => expect(await plain.get(key), value),
      "plain write": async () => expect(await plain.set(key, value), "OK"),
      kept: async () => expect(await kept.redis.get(key), value),
      "request reading": async () => {
        const { session, carry } = opened({ headers });
        expect(await session.redis.get(key), value);
        await session.settled();
        carry(new Head());
      },
      "request writing": async () => {
        const { session, carry } = opened({ headers });
        expect(await session.redis.set(key, value), "OK");
        await session.settled();
        const head = new Head();
        carry(head);
        if (head.token === undefined) throw new Error("the response has no token");
      },
    },
    returning: () => tidemark.session({ token: kept.token() }),
  };
}

/** The head of a response. */
class Head implements CarrierResponse {
  token: unknown;

  getHeader(): undefined {
    return undefined;
  }

  setHeader(_name: string, value: string | readonly string[]): void {
    this.token = value;
  }
}

function expect(given: unknown, expected: string): void {
  if (given !== expected) throw new Error(`the answer was ${String(given)}`);
}

async function allocated(run: () => Promise<unknown>, count: number): Promise<number> {
  await collect();
  const before = process.memoryUsage().heapUsed;
  const startedAt = performance.now();
  await times(count, run);
  const bytes = process.memoryUsage().heapUsed - before;
  // Observers are told turns later.
  for (let i = 0; i < 3; i++) await turn();
  if (lastCollection > startedAt) throw new Error("something was collected while bytes were counted");
  return bytes / count;
}

async function taken(keeping: Keeping, count: number): Promise<number> {
  await collect();
  const before = bytesHeld();
  let sessions: Session[] = [];
  await times(count, async () => {
    const session = app.returning();
    sessions.push(session);
    if (keeping !== "unused") expect(await session.redis.get(key), value);
  });
  if (keeping === "held by nobody") sessions = [];
  await collect();
  const bytes = bytesHeld() - before;
  if (sessions.length !== (keeping === "held by nobody" ? 0 : count)) throw new Error("sessions are missing");
  return bytes / count;
}

function bytesHeld(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Twice, as what only finalizers let go is collected after them. */
async function collect(): Promise<void> {
  if (global.gc === undefined) throw new Error("start this process with --expose-gc");
  for (let i = 0; i < 2; i++) {
    await turn();
    global.gc();
    await turn();
  }
}

async function times(count: number, run: () => Promise<unknown>): Promise<void> {
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) await run();
  };
  await Promise.all(Array.from({ length: inFlight }, work));
}
