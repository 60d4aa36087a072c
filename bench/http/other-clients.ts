/** Other clients, which keep the primary busy. They run in a process of their own. */
import { Redis } from "ioredis";
import { answer } from "../report/worker.js";

/** The first connects and is answered when there is a large value. The others are answered at once. */
export type OtherClientsQuestion =
  | { readonly primary: string }
  | { readonly perSecond: number }
  /** Answered when the primary has carried out that many commands, one after the other. */
  | { readonly commands: number };

const largeKey = "large";
const largeBytes = 300_000;
/** How often the commands that are due are sent. */
const everyMs = 1;

let redis: Redis | undefined;
let timer: NodeJS.Timeout | undefined;

answer(async (question: OtherClientsQuestion): Promise<void> => {
  if ("primary" in question) {
    redis = new Redis(question.primary);
    await redis.set(largeKey, "x".repeat(largeBytes));
  } else if ("commands" in question) {
    for (let sent = 0; sent < question.commands; sent++) await redis?.bitcount(largeKey);
  } else send(question.perSecond);
});

/** Sends commands until the next question. Leaves out commands that the primary cannot keep up with. */
function send(perSecond: number): void {
  clearInterval(timer);
  if (perSecond === 0) return;
  const startedAt = performance.now();
  let [sent, done] = [0, 0];
  const most = Math.ceil(perSecond / 100);
  timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1_000);
    for (; sent < due; sent++) {
      if (sent - done > most) done += 1;
      else
        void redis?.bitcount(largeKey).then(() => {
          done += 1;
        });
    }
  }, everyMs);
}
