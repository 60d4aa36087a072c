/** What is chosen for the requests that pass a marker: a level, or how many replicas hold writes. */

import {
  type Consistency,
  checkConsistency,
  type ReadOptions,
  withOptions,
} from "../../consistency/read-policy.js";
import type { ReplicatedOptions } from "../../consistency/write-concern.js";
import { InvalidOptionError } from "../../errors/errors.js";
import { sessionsOf } from "../attached-sessions.js";

/** Sets the level of all the sessions of `owner`. Throws when it has none, or for a level that is none. */
export function setLevel<Request extends object>(
  owner: Request,
  choice: LevelChoice<Request>,
  marker: string,
): void {
  const sessions = sessionsOf(owner, marker);
  const level = typeof choice === "function" ? checkConsistency(choice(owner), marker) : choice;
  for (const session of sessions) session.level = level;
}

/** Has all the sessions of `owner` answer writes only when replicas hold them. Throws when it has none. */
export function setReplicated(
  owner: object,
  replicas: number | "all",
  options: ReplicatedOptions | undefined,
): void {
  for (const session of sessionsOf(owner, "replicated(n)")) session.replicated(replicas, options);
}

/** A level, or a function that chooses it for a request. */
export type LevelChoice<Request> = Consistency | ((request: Request) => Consistency);

/** Returns what a marker was given, with its options, or throws an `InvalidOptionError` at once. */
export function checkChoice<Request>(
  choice: LevelChoice<Request>,
  marker: string,
  options?: ReadOptions,
): LevelChoice<Request> {
  if (typeof choice !== "function") return withOptions(choice, options, marker);
  if (options === undefined) return choice;
  withOptions("session", options, marker);
  return (request) => withOptions(choice(request), options, marker);
}

/** Catches `app.get("/", strong, handler)`, which would otherwise leave every request without an answer. */
export function checkCalled(name: string, rest: readonly unknown[]): void {
  if (rest.length > 0) throw new InvalidOptionError(name, rest, `call it: ${name}()`, "got a request");
}
