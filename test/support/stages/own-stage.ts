/** What each test of a file has for itself, also where tests run side by side. */

import { afterEach, aroundEach, beforeEach } from "vitest";
import { currentScope, inScope } from "./test-scope.js";

/** Takes what has to be done after the test. */
export type Owe = (end: () => unknown) => void;

/**
 * Calls `begin` before each test. The returned function gives what `begin` made for the test that calls it. What is owed is done
 * after the test, the last first.
 */
export function stageOwn<Own extends object>(begin: (owe: Owe) => Promise<Own>): () => Own {
  class Scene {
    own: Own | undefined;
    readonly ends: (() => unknown)[] = [];
  }
  const scene = (): Scene => {
    const scope = currentScope();
    if (!(scope instanceof Scene)) throw new Error("no test has begun");
    return scope;
  };

  aroundEach((runTest) => inScope(new Scene(), runTest));

  beforeEach(async () => {
    const { ends } = scene();
    scene().own = await begin((end) => ends.push(end));
  });

  afterEach(async () => {
    for (const end of scene().ends.reverse()) await end();
  });

  return () => {
    const { own } = scene();
    if (own === undefined) throw new Error("the test has nothing of its own yet");
    return own;
  };
}
