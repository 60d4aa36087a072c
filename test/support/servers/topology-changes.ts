/** The changes of servers that Tidemark publishes while a test listens. */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { TopologyMessage } from "../../../src/index.js";
import { hearsItself } from "../stages/test-scope.js";
import type { RedisServer } from "./redis-server.js";

export interface TopologyChanges extends Disposable {
  /** `change role state` of each message on `server`, in order. */
  of(server: Pick<RedisServer, "port">): string[];
  readonly heard: readonly TopologyMessage[];
}

/** Listens to `tidemark:topology` until disposed of. */
export function listenToTopology(): TopologyChanges {
  const heard: TopologyMessage[] = [];
  const isOwn = hearsItself();
  const listener = (message: unknown): void => {
    if (isOwn()) heard.push(message as TopologyMessage);
  };
  subscribe("tidemark:topology", listener);
  return {
    heard,
    of: ({ port }) =>
      heard
        .filter(({ node }) => node.endsWith(`:${port}`))
        .map(({ change, role, state }) => `${change} ${role} ${state}`),
    [Symbol.dispose]: () => unsubscribe("tidemark:topology", listener),
  };
}
