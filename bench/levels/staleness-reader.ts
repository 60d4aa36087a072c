/** Reads with a bound of staleness in a process of its own, and notes what the library took for proven. */
import { subscribe } from "node:diagnostics_channel";
import { setTimeout as pause } from "node:timers/promises";
import { type NodeStatus, type RouteMessage, Tidemark } from "tidemark";
import { clock } from "../report/clock.js";
import { answer } from "../report/worker.js";

export interface ReaderTask {
  readonly primary: string;
  readonly replicas: readonly string[];
  /** The level is "session" without it. */
  readonly maxStalenessMs?: number;
  readonly forMs: number;
  /** How many do so side by side; only of one is each read noted. */
  readonly tidemarks?: number;
}

export interface NotedRead {
  readonly sentAt: number;
  readonly ms: number;
  readonly value: number;
  readonly reason: string;
  /** How old the answer could be by what was known when it was given, as of the sending; undefined on the primary. */
  readonly provenMs: number | undefined;
}

let route: RouteMessage | undefined;
subscribe("tidemark:route", (message) => {
  route = message as RouteMessage;
});

answer(async ({ tidemarks = 1, ...task }: ReaderTask) => {
  const all = Array.from(
    { length: tidemarks },
    () => new Tidemark({ primary: task.primary, replicas: task.replicas }),
  );
  await Promise.all(all.map((tidemark) => tidemark.ready()));
  const until = clock() + task.forMs;
  const [noted = []] = await Promise.all(all.map((tidemark) => readUntil(tidemark, task, until)));
  // Lets whoever asked see how quiet they are before they are gone.
  setTimeout(() => void Promise.all(all.map((tidemark) => tidemark.close())), 2 * task.forMs);
  return noted;
});

async function readUntil(
  tidemark: Tidemark,
  { maxStalenessMs }: ReaderTask,
  until: number,
): Promise<NotedRead[]> {
  const level = maxStalenessMs === undefined ? "session" : { maxStalenessMs };
  const noted: NotedRead[] = [];
  while (clock() < until) {
    const sentAt = clock();
    route = undefined;
    const reading = tidemark.session({ level }).redis.get("clock");
    const known = tidemark.topology();
    const value = Number(await reading);
    const ms = clock() - sentAt;
    const provenMs = lagIn(reasonOf() === "known" ? known : tidemark.topology());
    const sinceSent = reasonOf() === "known" ? 0 : ms;
    noted.push({ sentAt, ms, value, reason: reasonOf(), provenMs: provenMs && provenMs - sinceSent });
    await pause(1);
  }
  return noted;
}

function reasonOf(): string {
  return route?.role === "replica" ? route.reason : "primary";
}

/** The lag of the replica that has answered. */
function lagIn(nodes: readonly NodeStatus[]): number | undefined {
  if (route?.role !== "replica") return undefined;
  return nodes.find(({ address }) => address === route?.node)?.lagMs;
}
