/** A process with one client. It runs the operations that it is asked for, and measures them. */
import { answer } from "../report/worker.js";
import { type Burst, type Cost, costOf, runBurst } from "./burst.js";
import { type ClientName, clients } from "./clients.js";
import { type Operations, type Servers, value, type What } from "./operations.js";
import { OtherUser } from "./other-user.js";

/** The first question names the client and its servers. */
export type ContestantQuestion = { readonly client: ClientName; readonly servers: Servers } | Turn;

export interface Turn {
  readonly what: What;
  readonly inFlight: number;
  readonly count: number;
  /** Whether another user writes before every `inFlight` operations. The time of that write does not count. */
  readonly isPaused?: boolean;
}

let contestant: { readonly operations: Operations; readonly servers: Servers } | undefined;
let otherUser: OtherUser | undefined;

answer(async (question: ContestantQuestion): Promise<Cost | undefined> => {
  if ("client" in question) {
    const { client, servers } = question;
    contestant = { operations: await clients[client](servers), servers };
    return undefined;
  }
  const { what, inFlight, count, isPaused = false } = question;
  const operation = contestant?.operations[what];
  if (contestant === undefined || operation === undefined) throw new Error(`${what} cannot be done`);
  const expected = what === "write" ? "OK" : value;
  if (!isPaused) return costOf(count, [await runBurst(operation, expected, inFlight, count)]);
  const bursts: Burst[] = [];
  otherUser ??= await OtherUser.connect(contestant.servers);
  for (let done = 0; done < count; done += inFlight) {
    const token = await otherUser.write();
    bursts.push(await runBurst(operation, expected, inFlight, inFlight, token));
  }
  return costOf(bursts.length * inFlight, bursts);
});
