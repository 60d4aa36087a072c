/** A process with many users, whose commands go through Tidemark or through plain ioredis. It measures its own CPU. */
import { Redis } from "ioredis";
import { type Mode, Tidemark } from "../../src/index.js";
import { answer } from "../report/worker.js";
import type { Servers } from "./player.js";

export type CostQuestion = Servers | CostTurn;

export interface CostTurn {
  readonly client: Mode | "ioredis";
  readonly count: number;
}

/** The CPU of one operation. */
export interface CostAnswer {
  readonly cpuUs: number;
}

const inFlight = 64;
const writeEvery = 10;
/** A user gives so many commands, each in a request of its own. Then another user comes. */
const commandsPerUser = 20;
const keys = 64;
/** Of five reads, how many read the key that the user writes. */
const ownReadsInFive = 2;
/** The share of the sessions that the mode "shadow" observes. */
export const sample = 0.01;

let clients: { readonly tidemark: Tidemark; readonly plain: Redis } | undefined;

answer(async (question: CostQuestion): Promise<CostAnswer | undefined> => {
  if ("primary" in question) {
    const tidemark = new Tidemark({ ...question, shadowSample: sample, mode: "off" });
    await tidemark.ready();
    clients = { tidemark, plain: new Redis(question.primary) };
    for (let key = 0; key < keys; key += 1) await clients.plain.set(`key:${key}`, "value");
    return undefined;
  }
  if (clients === undefined) throw new Error("there are no servers");
  const { tidemark, plain } = clients;
  const { client, count } = question;
  if (client !== "ioredis") tidemark.mode = client;
  let left = count;
  const work = async (loop: number): Promise<void> => {
    const own = `key:${loop}`;
    const others = `key:${(loop + 1) % keys}`;
    let token = "";
    for (let done = loop; left > 0; done += 1) {
      left -= 1;
      if (done % commandsPerUser === 0) token = "";
      const isWrite = done % writeEvery === 0;
      const key = isWrite || done % 5 < ownReadsInFive ? own : others;
      if (client === "ioredis") {
        await (isWrite ? plain.set(key, "value") : plain.get(key));
        continue;
      }
      const session = tidemark.session({ token });
      await (isWrite ? session.redis.set(key, "value") : session.redis.get(key));
      if (session.wrote) token = session.keyedToken();
    }
  };
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: inFlight }, (_, loop) => work(loop)));
  const { user, system } = process.cpuUsage(before);
  return { cpuUs: (user + system) / count };
});
