/** How the session of the current request is found where no request is at hand. */
import type { Session } from "../session.js";

/** A store that follows a request through callbacks and `await`; give your own as the `context` option. */
export interface Context {
  /** The value of the innermost `run` around this call, if any. */
  get(): Session | undefined;
  /** Calls `fn` with `session` as the value, also for whatever `fn` starts. */
  run<R>(session: Session, fn: () => R): R;
}
