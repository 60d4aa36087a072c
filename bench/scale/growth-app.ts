/** A process that runs operations of a given size. */
import { Tidemark } from "tidemark";
import { type Cost, costOf, runBurst } from "../client/burst.js";
import { key, type Servers, value } from "../client/operations.js";
import { answer } from "../report/worker.js";

export type GrowthTask = "tokens" | "positions" | "pipeline";

/** The first question names the servers, and brings the tokens of some users and some tokens of other histories. */
export type GrowthQuestion =
  | { readonly servers: Servers; readonly tokens: readonly string[]; readonly foreign: readonly string[] }
  | GrowthTurn;

export interface GrowthTurn {
  readonly task: GrowthTask;
  readonly size: number;
  readonly inFlight: number;
  readonly count: number;
}

let operations: Readonly<Record<GrowthTask, (size: number) => () => Promise<unknown>>> | undefined;

answer(async (question: GrowthQuestion): Promise<Cost | undefined> => {
  if ("servers" in question) {
    const { servers, tokens, foreign } = question;
    // Reads with positions of other histories go to the primary, as fast as they come.
    const tidemark = new Tidemark({ ...servers, fallbackLimit: false });
    await tidemark.ready();
    operations = {
      tokens: (size) => {
        const carried = tokens.slice(0, size);
        return () => tidemark.session({ token: carried }).redis.get(key);
      },
      positions: (size) => {
        const token = tidemark.session({ token: foreign.slice(0, size) }).token();
        return () => tidemark.session({ token }).redis.get(key);
      },
      pipeline: (size) => {
        const session = tidemark.session();
        return async () => {
          const pipeline = session.redis.pipeline();
          for (let i = 0; i < size; i++) pipeline.get(key);
          const results = await pipeline.exec();
          return results?.length === size ? results.at(-1)?.[1] : undefined;
        };
      },
    };
    return undefined;
  }
  const { task, size, inFlight, count } = question;
  const operation = operations?.[task](size);
  if (operation === undefined) throw new Error("the process has no servers");
  return costOf(count, [await runBurst(operation, value, inFlight, count, "", 1)]);
});
