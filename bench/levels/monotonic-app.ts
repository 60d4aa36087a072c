/** An app process: serves requests, each in a session that is made from the token the request brings. */
import { subscribe } from "node:diagnostics_channel";
import { type RouteMessage, Tidemark, type TidemarkOptions } from "tidemark";
import { raise, readCounters } from "../../test/support/load/counters.js";
import { answer } from "../report/worker.js";

/** With options it is begun with, else a request; an empty token is none. */
export type AppQuestion =
  | { readonly options: TidemarkOptions }
  | { readonly token: string; readonly writes: boolean };

export interface AppAnswer {
  /** In the order in which they were written or read. */
  readonly values: readonly number[];
  readonly token: string;
}

/** Where its reads were answered, so far. */
export interface AppCounts {
  readonly replicas: number;
  readonly primary: number;
}

const counts = { replicas: 0, primary: 0 };
subscribe("tidemark:route", (message) => {
  const { command, role } = message as RouteMessage;
  if (command === "get" || command === "mget") counts[role === "replica" ? "replicas" : "primary"] += 1;
});

/** Two, as where two parts of an app have each their own. */
let tidemarks: Tidemark[] = [];

answer(async (question: AppQuestion): Promise<AppAnswer | AppCounts> => {
  if ("options" in question) {
    tidemarks = [new Tidemark(question.options), new Tidemark(question.options)];
    await Promise.all(tidemarks.map((tidemark) => tidemark.ready()));
    return counts;
  }
  if (question.token === "counts") return counts;
  const tidemark = tidemarks[Math.floor(Math.random() * tidemarks.length)];
  if (tidemark === undefined) throw new Error("the app has not begun");
  const session = tidemark.session({ token: question.token });
  const written = question.writes ? [await raise(session.redis)] : [];
  const values = [...written, ...(await readCounters(session.redis))];
  await session.settled();
  return { values, token: session.token() };
});
