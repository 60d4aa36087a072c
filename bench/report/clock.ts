/** One clock for all processes of a machine. */

/** Milliseconds on the machine's monotonic clock, which `performance.now()` counts from each process's own start. */
export function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
