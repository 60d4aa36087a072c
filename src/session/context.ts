/** How the session of the current request is found where no request is at hand. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Session } from "./session.js";

/** A store that follows a request through callbacks and `await`; give one of its own to each Tidemark, as `context`. */
export interface Context {
  /** The value of the innermost `run` around this call, if any. */
  get(): Session | undefined;
  /** Calls `fn` with `session` as the value, also for whatever `fn` starts; undefined for what belongs to no request. */
  run<R>(session: Session | undefined, fn: () => R): R;
}

/** A context of its own for each Tidemark, so that two in one app do not meet. */
export function asyncLocalStorage(): Context {
  const storage = new AsyncLocalStorage<Session | undefined>();
  return { get: () => storage.getStore(), run: (session, fn) => storage.run(session, fn) };
}
