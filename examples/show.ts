/** Prints what an example has found. */

/**
 * Prints `seen` after `what`. If `expected` is given and `seen` differs from it, the example exits with 1 at the end.
 */
export function show(what: string, seen: unknown, ...expected: [unknown?]): void {
  const isExpected = expected.length === 0 || JSON.stringify(seen) === JSON.stringify(expected[0]);
  const mark = expected.length === 0 ? " " : isExpected ? "✓" : "✗";
  console.log(`${mark} ${what}: ${JSON.stringify(seen)}`);
  if (!isExpected) process.exitCode = 1;
}
