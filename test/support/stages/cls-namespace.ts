/** Namespaces of cls-hooked that end with the tests of a file. */
import asyncHooks, { type AsyncHook, type HookCallbacks } from "node:async_hooks";
import { createNamespace, type Namespace } from "cls-hooked";
import { afterAll } from "vitest";

const enabled: AsyncHook[] = [];

/** Creates a namespace. Call `endNamespaces()` in the file, because cls-hooked itself never disables the hook of one. */
export function openNamespace(name: string): Namespace {
  const { createHook } = asyncHooks;
  const noting = (callbacks: HookCallbacks): AsyncHook => {
    const hook = createHook(callbacks);
    enabled.push(hook);
    return hook;
  };
  Reflect.set(asyncHooks, "createHook", noting);
  try {
    return createNamespace(name);
  } finally {
    Reflect.set(asyncHooks, "createHook", createHook);
  }
}

/** Ends all namespaces behind the tests of the file, so that later files of the process are not slowed down. */
export function endNamespaces(): void {
  afterAll(() => {
    for (const hook of enabled.splice(0)) hook.disable();
  });
}
