/** A straight line through what was measured. */

export type Line = (x: number) => number;

/** The one with the least squares of distances to `points`. */
export function fitted(points: readonly (readonly [number, number])[]): Line {
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean(([x]) => x), mean(([, y]) => y)];
  const slope = mean((point) => (point[0] - x) * (point[1] - y)) / mean((point) => (point[0] - x) ** 2);
  return (at) => y + slope * (at - x);
}
