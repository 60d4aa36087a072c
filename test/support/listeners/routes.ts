/** The routes of commands that Tidemark reports while a test listens. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { RouteMessage } from "../../../src/index.js";
import { hearsItself } from "../stages/test-scope.js";

export interface Routes extends Disposable {
  /** `role:reason` of each command of that name, in order. */
  of(command: string): string[];
  /** The same of all commands. */
  all(): string[];
  /** Forgets what was heard so far. */
  clear(): void;
}

/** Listens to `tidemark:route` until disposed of. */
export function listenToRoutes(): Routes {
  const heard: RouteMessage[] = [];
  const isOwn = hearsItself();
  const listener = (message: unknown): void => {
    if (isOwn()) heard.push(message as RouteMessage);
  };
  subscribe("tidemark:route", listener);
  return {
    of: (name) =>
      heard.filter(({ command }) => command === name).map(({ role, reason }) => `${role}:${reason}`),
    all: () => heard.map(({ role, reason }) => `${role}:${reason}`),
    clear: () => {
      heard.length = 0;
    },
    [Symbol.dispose]: () => unsubscribe("tidemark:route", listener),
  };
}
