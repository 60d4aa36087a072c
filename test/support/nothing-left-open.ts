/** Each file closes what it opens, because the next file runs in the same process. */

import { afterAll, beforeAll } from "vitest";
import { waitUntil } from "./wait-until.js";

let before = 0;

/** What keeps this process running. A client that tries to reconnect has only a timer. */
function open(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith("TCP") || kind === "Timeout");
}

// Within `waitUntil` as well, which has a timer of its own.
beforeAll(() =>
  waitUntil(
    () => {
      before = open().length;
      return true;
    },
    { what: "the file has begun" },
  ),
);

// The first hook that is registered is the last to run. Sockets close a moment after their clients.
afterAll(() =>
  waitUntil(() => open().length <= before, {
    what: "the file has closed its connections, servers and timers",
  }),
);
