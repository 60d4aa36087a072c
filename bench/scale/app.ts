/** An app process under a steady load: its users take turns, and each finds in every read what they have written last. */
import { Redis } from "ioredis";
import { Tidemark, type TidemarkOptions } from "tidemark";
import { clock } from "../report/clock.js";
import { quantile } from "../report/quantile.js";
import { answer } from "../report/worker.js";

/** The first begins it, with Tidemark or, on a server alone, without; all others have it work. */
export type AppQuestion = { readonly options: TidemarkOptions } | { readonly alone: string } | Load;

export interface Load {
  /** Operations. */
  readonly perSecond: number;
  readonly writeShare: number;
  readonly forMs: number;
}

export interface Work {
  readonly perSecond: number;
  /** CPU of this process for an operation, in µs. */
  readonly cpuUs: number;
  /** Of the time from the start of an operation to its answer, in µs. */
  readonly p99: number;
}

interface Client {
  read(user: number): Promise<string | null>;
  write(user: number, value: string): Promise<unknown>;
}

const users = 200;

let client: Client | undefined;
/** By user. */
const written: string[] = [];
/** Those for whom nothing is on its way: nobody does two things at once. */
const free: number[] = [];
let next = 0;

answer(async (question: AppQuestion): Promise<Work | undefined> => {
  if ("perSecond" in question) return await work(question);
  client = "alone" in question ? openAlone(question.alone) : await openTidemark(question.options);
  for (let user = 0; user < users; user++) {
    await client.write(user, "new");
    written[user] = "new";
    free.push(user);
  }
  return undefined;
});

function keyOf(user: number): string {
  return `${process.pid}:${user}`;
}

function openAlone(url: string): Client {
  const redis = new Redis(url);
  return { read: (user) => redis.get(keyOf(user)), write: (user, value) => redis.set(keyOf(user), value) };
}

/** Every operation belongs to a session of its own that is made from what its user brings, as requests are. */
async function openTidemark(options: TidemarkOptions): Promise<Client> {
  const tidemark = new Tidemark(options);
  await tidemark.ready();
  const tokens: string[] = [];
  const sessionOf = (user: number) => tidemark.session({ token: tokens[user] ?? "" });
  return {
    read: (user) => sessionOf(user).redis.get(keyOf(user)),
    async write(user, value) {
      const session = sessionOf(user);
      await session.redis.set(keyOf(user), value);
      tokens[user] = session.token();
    },
  };
}

async function work({ perSecond, writeShare, forMs }: Load): Promise<Work> {
  const cpuBefore = process.cpuUsage();
  const startedAt = clock();
  const times: number[] = [];
  let begun = 0;
  await new Promise<void>((resolve, reject) => {
    const timer = setInterval(() => {
      const ms = clock() - startedAt;
      while (begun < (Math.min(ms, forMs) * perSecond) / 1_000) {
        const user = free.shift();
        if (user === undefined) break;
        begun += 1;
        const begunAt = clock();
        serve(user, writeShare).then(() => times.push(clock() - begunAt), reject);
      }
      if (ms < forMs || free.length < users) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    perSecond: (begun * 1_000) / (clock() - startedAt),
    cpuUs: (user + system) / begun,
    p99: quantile(times, 0.99) * 1_000,
  };
}

async function serve(user: number, writeShare: number): Promise<void> {
  if (client === undefined) throw new Error("the app has not begun");
  next += 1;
  if (Math.floor(next * writeShare) > Math.floor((next - 1) * writeShare)) {
    const value = String(next);
    await client.write(user, value);
    written[user] = value;
  } else {
    const value = await client.read(user);
    if (value !== written[user]) throw new Error(`user ${user} read ${value}, but wrote ${written[user]}`);
  }
  free.push(user);
}
