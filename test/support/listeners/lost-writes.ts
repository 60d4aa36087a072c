/** The lost writes that Tidemark reports while a test listens. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { LostWriteMessage } from "../../../src/index.js";
import { hearsItself } from "../stages/test-scope.js";

export interface LostWrites extends Disposable {
  readonly heard: readonly LostWriteMessage[];
}

/** Listens to `tidemark:lost-write` until disposed of. */
export function listenToLostWrites(): LostWrites {
  const heard: LostWriteMessage[] = [];
  const isOwn = hearsItself();
  const listener = (message: unknown): void => {
    if (isOwn()) heard.push(message as LostWriteMessage);
  };
  subscribe("tidemark:lost-write", listener);
  return { heard, [Symbol.dispose]: () => unsubscribe("tidemark:lost-write", listener) };
}
