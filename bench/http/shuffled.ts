/** A random order that can be repeated. */

/** The values in an order that `random` decides (Fisher and Yates). */
export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const rest = [...values];
  const inOrder: T[] = [];
  while (rest.length > 0) inOrder.push(...rest.splice(Math.floor(random() * rest.length), 1));
  return inOrder;
}
