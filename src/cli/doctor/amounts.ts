/** Writes times and sizes for people. */

/** `12 ms`, `1.5 s`, `90 s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  return `${seconds < 100 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
}

/** `512 bytes`, `64 KB`, `1.5 MB`. */
export function size(bytes: number): string {
  if (bytes < 1_024) return `${bytes} bytes`;
  const isSmall = bytes < 1_048_576;
  return `${Number((bytes / (isSmall ? 1_024 : 1_048_576)).toFixed(1))} ${isSmall ? "KB" : "MB"}`;
}

/** `1 replica`, `2 replicas`. */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
