/** Finds the session of the current request when the code has no request object. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { Session } from "./session.js";

/** A store that follows a request through callbacks and `await`. Pass it as `context`, and give each Tidemark its own. */
export interface Context {
  /** The value of the innermost `run` around this call. Undefined outside of any `run`. */
  get(): Session | undefined;
  /**
   * Calls `fn` with `session` as the value. Everything that `fn` starts sees the same value. Pass undefined for work that belongs
   * to no request.
   */
  run<R>(session: Session | undefined, fn: () => R): R;
}

/** A separate context for each Tidemark, so that two Tidemarks in one app never share a session. */
export function asyncLocalStorage(): Context {
  const storage = new AsyncLocalStorage<Session | undefined>();
  return { get: () => storage.getStore(), run: (session, fn) => storage.run(session, fn) };
}
