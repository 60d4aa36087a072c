/** Makes the lag of each replica rise and fall, as it does in real life. */

/** The connection between a primary and a replica. It can delay what it carries. */
export interface Link {
  delay(ms: number): void;
}

export const maxLagMs = 400;

const stepMs = 20;
/** The periods differ, so that one replica is ahead of the other most of the time. */
const swings = [
  { periodMs: 2_300, startsAt: 0.2 },
  { periodMs: 3_100, startsAt: 0.7 },
];

/** Lets the lag of each link swing between 0 and {@link maxLagMs} until the returned function is called. */
export function swingLag(links: readonly Link[]): () => void {
  const start = performance.now();
  const set = (): void => {
    const elapsedMs = performance.now() - start;
    for (const [index, link] of links.entries()) {
      const { periodMs, startsAt } = swings[index % swings.length] ?? { periodMs: stepMs, startsAt: 0 };
      link.delay((maxLagMs / 2) * (1 - Math.cos(2 * Math.PI * (elapsedMs / periodMs + startsAt))));
    }
  };
  set();
  const timer = setInterval(set, stepMs);
  return () => {
    clearInterval(timer);
    for (const link of links) link.delay(0);
  };
}
