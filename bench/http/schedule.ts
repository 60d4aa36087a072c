/** Requests that are sent when they are due, whether or not others were answered. */
import type { KeepAlive } from "./keep-alive.js";

/** How long the process sleeps at once. A request may be sent that much too late, and an answer be seen that much too late. */
const sleepMs = 0.1;
const sleeper = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** Random moments within `forMs`, on average `perSecond` of them in a second, as independent users choose them. */
export function momentsOf(perSecond: number, forMs: number, random: () => number): number[] {
  const moments: number[] = [];
  for (let ms = 0; ; ) {
    ms -= (Math.log(1 - random()) * 1_000) / perSecond;
    if (ms >= forMs) return moments;
    moments.push(ms);
  }
}

/**
 * Calls `send` at each of `moments`, in ms from now, and resolves with the times from these moments to the answers. If no
 * connection is free, the request waits for one, and the wait is part of its time.
 */
export async function sendOnSchedule(
  connections: readonly KeepAlive[],
  moments: readonly number[],
  send: (connection: KeepAlive, onAnswer: () => void) => void,
): Promise<readonly number[]> {
  const timesMs: number[] = [];
  const free = [...connections];
  const startedAt = performance.now();
  let next = 0;
  await new Promise<void>((resolve) => {
    const sendDue = (): void => {
      for (; free.length > 0; next++) {
        const due = startedAt + (moments[next] ?? Number.POSITIVE_INFINITY);
        if (due > performance.now()) return;
        const connection = free.pop();
        if (connection === undefined) return;
        send(connection, () => {
          timesMs.push(performance.now() - due);
          free.push(connection);
          if (timesMs.length === moments.length) resolve();
        });
      }
    };
    const turn = (): void => {
      sendDue();
      if (timesMs.length === moments.length) {
        resolve();
        return;
      }
      // Timers are too coarse for this, and a loop without sleep would take the CPU from the app.
      Atomics.wait(sleeper, 0, 0, sleepMs);
      setImmediate(turn);
    };
    turn();
  });
  return timesMs;
}
