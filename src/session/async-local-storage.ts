/** The default context: Node's own AsyncLocalStorage. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Context } from "./context.js";
import type { Session } from "./session.js";

/** A context of its own for each Tidemark, so that two in one app do not meet. */
export function asyncLocalStorage(): Context {
  const storage = new AsyncLocalStorage<Session | undefined>();
  return { get: () => storage.getStore(), run: (session, fn) => storage.run(session, fn) };
}
