/** What a virtual user does and when. It is the same for every routing, because all random numbers come from a seed. */

/** After a pause, the user adds `item` to the cart. Without an item, the user reads the cart. */
export interface Step {
  readonly pauseMs: number;
  readonly item?: string;
}

const items = ["tea", "teapot", "mug", "honey", "biscuits"];
const readsPerWrite = 9;
/** The redirect after a form was sent. */
const firstLookMs = { from: 5, to: 45 };
const nextLookMs = { from: 50, to: 650 };
const latestStartMs = 1_000;

/** A trip of about `durationMs` milliseconds: one write, nine reads, and so on. */
export function shoppingTrip(seed: number, durationMs: number): readonly Step[] {
  const random = seededRandom(seed);
  const between = ({ from, to }: { from: number; to: number }) => from + random() * (to - from);
  const steps: Step[] = [];
  let pauseMs = between({ from: 0, to: Math.min(latestStartMs, durationMs / 3) });
  for (let elapsedMs = pauseMs, index = 0; elapsedMs < durationMs; elapsedMs += pauseMs, index++) {
    const place = index % (readsPerWrite + 1);
    const item = place === 0 ? items[Math.floor(random() * items.length)] : undefined;
    steps.push(item === undefined ? { pauseMs } : { pauseMs, item });
    pauseMs = between(place === 0 ? firstLookMs : nextLookMs);
  }
  return steps;
}

/** Mulberry32: small, and good enough to spread users out. */
function seededRandom(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
