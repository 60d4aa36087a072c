/** How the session of the current request is found where no request is at hand. */
import type { Session } from "./session.js";

/** A store that follows a request through callbacks and `await`; give one of its own to each Tidemark, as `context`. */
export interface Context {
  /** The value of the innermost `run` around this call, if any. */
  get(): Session | undefined;
  /** Calls `fn` with `session` as the value, also for whatever `fn` starts; undefined for what belongs to no request. */
  run<R>(session: Session | undefined, fn: () => R): R;
}
