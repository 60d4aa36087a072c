/** The finished reads that Tidemark reports while a test listens. */

import { type ReadMessage, readChannel } from "../../../src/index.js";

export interface ReadMessages extends Disposable {
  /** In order. */
  readonly heard: ReadMessage[];
  /** The last one; fails when there is none. */
  readonly last: ReadMessage;
}

/** Listens to `tidemark:read` until disposed of. */
export function listenToReads(): ReadMessages {
  const heard: ReadMessage[] = [];
  const listener = (message: unknown): void => {
    heard.push(message as ReadMessage);
  };
  readChannel.subscribe(listener);
  return {
    heard,
    get last() {
      const last = heard.at(-1);
      if (last === undefined) throw new Error("no read was heard of");
      return last;
    },
    [Symbol.dispose]: () => readChannel.unsubscribe(listener),
  };
}
