/** Lets Tidemark keep the current session in a cls-hooked namespace. */
import { randomUUID } from "node:crypto";
import { InvalidOptionError } from "../errors/errors.js";
import type { Context } from "./context.js";
import { Session } from "./session.js";

export type { Context } from "./context.js";

/** The part of a namespace that Tidemark needs. A cls-hooked namespace has it. */
export interface ClsNamespace {
  get(key: string): unknown;
  set(key: string, value: unknown): unknown;
  run(fn: () => void): unknown;
}

/**
 * Keeps sessions in `namespace`. Pass the result as the `context` option of a Tidemark. Each call stores its sessions under a key
 * of its own. Values that the app has set in the namespace stay visible inside. Throws an `InvalidOptionError` if `namespace` is
 * not a namespace.
 */
export function clsHooked(namespace: ClsNamespace): Context {
  checkNamespace(namespace);
  const key = `tidemark ${randomUUID()}`;
  return {
    get: () => {
      const session = namespace.get(key);
      return session instanceof Session ? session : undefined;
    },
    run: (session, fn) => {
      let end = fn;
      // cls-hooked writes its context on each error that it sees, and cannot write on frozen errors or on strings.
      namespace.run(() => {
        namespace.set(key, session);
        end = outcomeOf(fn);
      });
      return end();
    },
  };
}

/** Calls `fn` once. The returned function repeats the outcome each time: it returns the result or throws the error. */
function outcomeOf<R>(fn: () => R): () => R {
  try {
    const result = fn();
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function checkNamespace(namespace: unknown): void {
  if (typeof namespace === "object" && namespace !== null) {
    const methods = ["get", "set", "run"].map((name) => Reflect.get(namespace, name));
    if (methods.every((method) => typeof method === "function")) return;
  }
  throw new InvalidOptionError("clsHooked", namespace, 'Pass createNamespace("app") of cls-hooked');
}
