/** The context of apps that carry what belongs to a request in a namespace of cls-hooked. */
import { randomUUID } from "node:crypto";
import { InvalidOptionError } from "../errors/errors.js";
import type { Context } from "./context.js";
import { Session } from "./session.js";

export type { Context } from "./context.js";

/** What is needed of a namespace; those of cls-hooked fit as they are. */
export interface ClsNamespace {
  get(key: string): unknown;
  set(key: string, value: unknown): unknown;
  run(fn: () => void): unknown;
}

/**
 * Keeps sessions in `namespace`, for the `context` option of a Tidemark; each call keeps them apart from those of all
 * others. What the app has set in the namespace is visible inside as before. Throws an `InvalidOptionError` for what is
 * no namespace.
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
      // cls-hooked writes its context on errors that it sees, which frozen ones and strings do not bear.
      namespace.run(() => {
        namespace.set(key, session);
        end = outcomeOf(fn);
      });
      return end();
    },
  };
}

/** Calls `fn`, and gives what does the same as often as it is called: returns its result or throws its error. */
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
  throw new InvalidOptionError("clsHooked", namespace, 'give createNamespace("app") of cls-hooked');
}
