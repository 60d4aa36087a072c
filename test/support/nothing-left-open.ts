/** Each file closes what it opens, because the next file runs in the same process. */

import { afterAll, beforeAll } from "vitest";
import { waitUntil } from "./wait-until.js";

let before = 0;

/** What keeps this process running. A client that tries to reconnect has only a timer. */
function open(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith("TCP") || kind === "Timeout")
    .length;
}

/** Waits until `isEnough` is true of what is open. It is not asked at once, so that timers that are about to end do not count. */
async function whenOpen(isEnough: (count: number) => boolean, what: string): Promise<void> {
  let polls = 0;
  await waitUntil(
    () => {
      polls += 1;
      return polls > 2 && isEnough(open());
    },
    { what },
  );
}

beforeAll(() =>
  whenOpen((count) => {
    before = count;
    return true;
  }, "the file has begun"),
);

// The first hook that is registered is the last to run. Sockets close a moment after their clients.
afterAll(() =>
  whenOpen((count) => count <= before, "the file has closed its connections, servers and timers"),
);
