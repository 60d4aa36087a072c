/** A user who writes at a steady pace, in a process that has nothing else to do. */
import { Tidemark, type TidemarkOptions } from "tidemark";
import { clock } from "../report/clock.js";
import { answer } from "../report/worker.js";

/** The options come first. */
export type WriterQuestion = { readonly options: TidemarkOptions } | { readonly forMs: number };

const everyMs = 10;
let tidemark: Tidemark | undefined;

/** How long each write took that was begun within the time. */
answer(async (question: WriterQuestion): Promise<number[]> => {
  if ("options" in question) {
    tidemark = new Tidemark(question.options);
    await tidemark.ready();
    return [];
  }
  const writes: Promise<number>[] = [];
  await new Promise<void>((resolve) => {
    const until = clock() + question.forMs;
    const timer = setInterval(() => {
      writes.push(write(clock()));
      if (clock() < until) return;
      clearInterval(timer);
      resolve();
    }, everyMs);
  });
  return Promise.all(writes);
});

async function write(begunAt: number): Promise<number> {
  await tidemark
    ?.session()
    .redis.set("written", begunAt)
    .catch(() => {});
  return clock() - begunAt;
}
