/** Numbers as people read them. */

const byteUnits = ["bytes", "kB", "MB", "GB", "TB"];

/** `1 MB`, `3.5 kB`. A kB has 1024 bytes, as in Redis. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1_024 && unit < byteUnits.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${rounded(value)} ${byteUnits[unit]}`;
}

/** `0.4 ms`, `12 s`, `3 min`. */
export function durationText(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return "more than 5 s";
  if (ms < 1_000) return `${rounded(ms)} ms`;
  if (ms < 120_000) return `${rounded(ms / 1_000)} s`;
  return ms < 7_200_000 ? `${rounded(ms / 60_000)} min` : `${rounded(ms / 3_600_000)} h`;
}

/** `93 %`. Only a whole is 100 %, and only nothing is 0 %. */
export function percentText(share: number): string {
  const percent = share * 100;
  if (percent > 99 && percent < 100) return "over 99 %";
  if (percent > 0 && percent < 1) return "under 1 %";
  return `${Math.round(percent)} %`;
}

/** `one replica`, `3 replicas`. */
export function countText(count: number, noun: string): string {
  return count === 1 ? `one ${noun}` : `${count} ${noun}s`;
}

function rounded(value: number): string {
  if (value >= 10 || Number.isInteger(value)) return String(Math.round(value));
  return String(Number(value.toFixed(value < 1 ? 2 : 1)));
}
