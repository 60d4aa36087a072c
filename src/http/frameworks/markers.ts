/** Markers: they set the level of a route, or how many replicas its writes wait for. */

import {
  type Consistency,
  checkConsistency,
  type ReadOptions,
  withOptions,
} from "../../consistency/read-policy.js";
import { checkWriteConcern, type ReplicatedOptions } from "../../consistency/write-concern.js";
import { InvalidOptionError } from "../../errors/errors.js";
import { sessionsOf } from "../attached-sessions.js";

/** A level, or a function that chooses it for a request. */
export type LevelChoice<Request> = Consistency | ((request: Request) => Consistency);

/**
 * Makes a middleware of one framework. The middleware calls `mark` with each request before anything that follows, reports
 * what `mark` throws, and names itself by `name` when another framework calls it.
 */
type Marking<Request, Middleware> = (name: string, mark: (request: Request) => void) => Middleware;

/** The markers of one framework that do not depend on the type of its requests. */
interface Markers<Middleware> {
  readonly strong: (options?: ReadOptions, ...rest: []) => Middleware;
  readonly eventual: (options?: ReadOptions, ...rest: []) => Middleware;
  readonly bounded: (maxStalenessMs: number, options?: ReadOptions) => Middleware;
  readonly replicated: (replicas: number | "all", options?: ReplicatedOptions) => Middleware;
}

/** Makes `consistency` for one framework. If `marking` has a type parameter for the request, `consistency` has it too. */
export function consistencyFor<Request extends object, Middleware>(
  marking: Marking<Request, Middleware>,
): (level: LevelChoice<Request>, options?: ReadOptions) => Middleware {
  return (level, options) => levelMarker(marking, "consistency(level)", level, options);
}

/** Makes the markers `strong`, `eventual`, `bounded` and `replicated` for one framework. */
export function markersFor<Request extends object, Middleware>(
  marking: Marking<Request, Middleware>,
): Markers<Middleware> {
  return {
    strong: (options, ...rest) => {
      checkCalled("strong", rest);
      return levelMarker(marking, "strong()", "strong", options);
    },
    eventual: (options, ...rest) => {
      checkCalled("eventual", rest);
      return levelMarker(marking, "eventual()", "eventual", options);
    },
    bounded: (maxStalenessMs, options) => levelMarker(marking, "bounded(ms)", { maxStalenessMs }, options),
    replicated: (replicas, options) => {
      checkWriteConcern(replicas, options);
      return marking("replicated(n)", (request) => {
        for (const session of sessionsOf(request, "replicated(n)")) session.replicated(replicas, options);
      });
    },
  };
}

function levelMarker<Request extends object, Middleware>(
  marking: Marking<Request, Middleware>,
  name: string,
  level: LevelChoice<Request>,
  options: ReadOptions | undefined,
): Middleware {
  const choice = checkChoice(level, name, options);
  return marking(name, (request) => setLevel(request, choice, name));
}

/** Sets the level of all the sessions of `owner`. Throws if `owner` has no session or `choice` returns no valid level. */
export function setLevel<Request extends object>(
  owner: Request,
  choice: LevelChoice<Request>,
  marker: string,
): void {
  const sessions = sessionsOf(owner, marker);
  const level = typeof choice === "function" ? checkConsistency(choice(owner), marker) : choice;
  for (const session of sessions) session.level = level;
}

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
function checkCalled(name: string, rest: readonly unknown[]): void {
  if (rest.length > 0) throw new InvalidOptionError(name, rest, `Call it: ${name}()`, "got a request");
}
