/** Every kind of store that can tell a Tidemark whose request is being served. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Session } from "../../../src/index.js";
import { clsHooked } from "../../../src/session/cls-hooked.js";
import { asyncLocalStorage, type Context } from "../../../src/session/context.js";
import { openNamespace } from "./cls-namespace.js";

export interface ContextKind {
  readonly kind: string;
  readonly open: () => Context;
}

/** Each opens another one, which has nothing to do with those before. */
export const contextKinds: readonly ContextKind[] = [
  { kind: "AsyncLocalStorage", open: asyncLocalStorage },
  { kind: "a namespace of cls-hooked", open: () => clsHooked(openNamespace("app")) },
  { kind: "a store of the app", open: storeOfTheApp },
];

/** All that belongs to a request, in one object. */
interface Request {
  readonly id: number;
  readonly session?: Session | undefined;
}

function storeOfTheApp(): Context {
  const store = new AsyncLocalStorage<Request>();
  return {
    get: () => store.getStore()?.session,
    run: (session, fn) => store.run({ ...(store.getStore() ?? { id: 0 }), session }, fn),
  };
}
