/** Which test something belongs to, where tests of one file run side by side. */

import { AsyncLocalStorage } from "node:async_hooks";

const storage = new AsyncLocalStorage<object>();

/** Runs a test, with its hooks, in a scope of its own. */
export function inScope<Result>(scope: object, run: () => Result): Result {
  return storage.run(scope, run);
}

/** The scope that the caller runs in. */
export function currentScope(): object | undefined {
  return storage.getStore();
}

/**
 * Gives what tells a listener whether it hears its own test. Channels and process warnings belong to the whole process; the
 * timers and connections that cause them belong to the test that opened its Tidemark. What belongs to no test is for all.
 */
export function hearsItself(): () => boolean {
  const mine = currentScope();
  return () => {
    const scope = currentScope();
    return scope === undefined || mine === undefined || scope === mine;
  };
}
